"""segflow definitions: which versions of the settings there were."""

import json
from typing import Annotated, Any, Final

import typer

from segflow.cli.commands import lookups
from segflow.cli.options import SettingsFile, load
from segflow.operations.printable import printable
from segflow.segments.instant import to_text
from segflow.streams.control.definitions import began, differences, fact_differences
from segflow.streams.control.topic import Control

EPILOG: Final = """\b
Example:
  segflow definitions

Exit codes: 0 shown, 2 usage, settings or connection."""


def command(
    *,
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """List the versions of the settings that define segments: number, when it was written, what it changed.

    A change's `definition` is such a number. Last comes what a worker started with these settings would change.
    """
    loaded = load(settings)
    control = lookups.in_force(loaded)
    listed = _listed(control)
    mine = control.wanted
    held = control.definitions[-1].content
    settings_differ = _as_json(differences(held, mine))
    refused = [each.path for each in fact_differences([each.content for each in control.definitions], mine)]
    since = {name: each.version for name, each in began(control.definitions).items()}
    if as_json:
        found = {"definitions": listed, "settings_differ": settings_differ, "facts_differ": refused}
        print(json.dumps(found | {"facts_since": since}))
        return
    for each in listed:
        quiet = "  (quiet: its changes were not published)" if each["quiet"] else ""
        print(f"{each['version']}  {each['written_at']}{quiet}")
        for change in each["changes"]:
            print(f"    {_line(change)}")
        if not each["changes"]:
            print("    the first")
    for name, version in since.items():
        print(printable(f"counts from version {version} on, as it was not kept before: {name}"))
    for change in settings_differ:
        print(f"not in force: {_line(change)}")
    if refused:
        print(f"refused by a worker, for it is in the facts: {', '.join(refused)}")


def _listed(control: Control) -> list[dict[str, Any]]:
    """Each version, with what it changed of the one before."""
    found: list[dict[str, Any]] = []
    before = control.definitions[0].content
    for each in control.definitions:
        changes = _as_json(differences(before, each.content))
        found.append(
            {
                "version": each.version,
                "written_at": to_text(each.written_us),
                "quiet": each.quiet,
                "changes": changes,
                "content": each.content,
            }
        )
        before = each.content
    return found


def _as_json(found: list[Any]) -> list[dict[str, Any]]:
    return [{"setting": each.path, "before": each.before, "after": each.after} for each in found]


def _line(change: dict[str, Any]) -> str:
    return printable(f"{change['setting']}: {json.dumps(change['before'])} to {json.dumps(change['after'])}")
