"""segflow doctor: is everything as it must be, and what to do where it is not."""

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from segflow.cli.options import SettingsFile, load
from segflow.operations.doctor import diagnose
from segflow.operations.finding import Finding
from segflow.operations.printable import printable

EPILOG: Final = """\b
Example:
  segflow doctor --settings segflow.yaml

Exit codes: 0 nothing failed, 1 something did, 2 usage or settings."""
STYLES: Final = {"OK": "green", "WARN": "yellow", "FAIL": "bold red"}


def command(
    *,
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="The findings as a JSON list.")] = False,
) -> None:
    """Check settings, Kafka, topics, the placement of keys, Redis and the shards; say what to do. Changes nothing."""
    loaded = load(settings)
    console = Console(soft_wrap=True, highlight=False)
    findings = []
    for finding in diagnose(loaded, settings):
        findings.append(finding)
        if not as_json:
            console.print(_line(finding))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings]))
    if any(finding.status == "FAIL" for finding in findings):
        raise typer.Exit(1)


def _line(finding: Finding) -> Text:
    text = Text()
    text.append(f"{finding.status:<5}", style=STYLES[finding.status])
    text.append(f"{finding.name:<12}", style="bold")
    text.append(printable(finding.message))
    if finding.advice:
        text.append(f"\n{'':<17}{finding.advice}")
    return text
