"""The reference of the settings: every path, from the schema of the settings and the commented example."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docgen import json_schema
from docgen.json_schema import Schema
from docgen.markdown import code, page, paragraph, sentence, table
from segflow.schemas.export import documents
from segflow.schemas.settings import HOW_IT_RUNS
from segflow.schemas.settings_file import ENVIRONMENT
from segflow.streams.control.definitions import FACT_SETTINGS

EXAMPLE: Final = Path(__file__).resolve().parents[1] / "examples" / "segflow.yaml"
LONGEST_DEFAULT: Final = 60
"""Characters of a default that still fit a table; a longer one is in the commented example."""


def settings_page() -> str:
    """Every setting: type, default, meaning, what a change of it takes."""
    schema: Schema = json.loads(documents()["settings.json"])
    said = comments(EXAMPLE.read_text(encoding="utf-8"))
    sections = list(_sections(schema, schema, ""))
    variables = [(code(name), code(".".join(path))) for name, path in ENVIRONMENT.items()]
    return page(
        "Settings",
        paragraph(
            "Every setting of `segflow.yaml`. All have defaults, so your file holds only what differs. "
            "[examples/segflow.yaml](../../examples/segflow.yaml) is the same list as a file to copy from. "
            "Unknown keys are refused, with their path and the reason."
        ),
        paragraph(
            "**Durations** are a whole number and a unit: `us`, `ms`, `s`, `m`, `h`, `d`, `w`, as in `60d` or `500ms`. "
            "**Money** is a decimal in the settings' `currency`, in major units (euros, not cents)."
        ),
        "**To change** says what a change of the setting takes:",
        "- *restart*: of the workers. The setting says how segflow runs.\n"
        "- *definition*: a restart too. Customers are classified again, and whoever moves gets a change with cause\n"
        "  `definition`. See [How-to](../how-to/README.md#how-do-i-change-what-segments-mean).\n"
        "- *new installation*: the setting is a [fact setting](../glossary.md#fact-setting). A running installation\n"
        "  refuses another value. See [How-to](../how-to/README.md#how-do-i-change-what-segments-mean).",
        "## Environment",
        "Addresses and secrets may come from the environment, which wins over the file.",
        table(("variable", "setting"), variables),
        *(_section_text(path, section, schema, said) for path, section in sections),
    )


def _sections(schema: Schema, root: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """The settings of the top level, then each section and those within it, in their order."""
    yield path, schema
    for each in json_schema.fields(schema, root):
        if "properties" in each.schema:
            yield from _sections(each.schema, root, f"{path}.{each.name}".lstrip("."))


def _section_text(path: str, section: Schema, root: Schema, said: dict[str, str]) -> str:
    rows = [
        _row(f"{path}.{each.name}".lstrip("."), each.schema, root, said)
        for each in json_schema.fields(section, root)
        if "properties" not in each.schema
    ]
    heading = f"## {path}" if path else "## Top level"
    about = sentence(section.get("description", "")) if path else ""
    parts = [heading, paragraph(about)]
    if rows:
        parts.append(table(("setting", "default", "to change", "type, and meaning"), rows))
    return "\n\n".join(part for part in parts if part)


def _row(path: str, schema: Schema, root: Schema, said: dict[str, str]) -> tuple[str, ...]:
    meaning = schema.get("description") or said.get(path) or said.get(path.rpartition(".")[0], "")
    told = f"*{json_schema.kind(schema, root)}*: {meaning}"
    return code(path), _default(schema.get("default")), _to_change(path), told


def _default(value: Any) -> str:
    written = value if isinstance(value, str) else json.dumps(value)
    return code(written) if len(written) <= LONGEST_DEFAULT else "see the example"


def _to_change(path: str) -> str:
    if path.partition(".")[0] in HOW_IT_RUNS:
        return "restart"
    return "new installation" if path in FACT_SETTINGS else "definition"


def comments(text: str) -> dict[str, str]:
    """The comment on each path in the commented example: at the line's end, else on the lines above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        remark = re.fullmatch(r"\s*# (.*)", line)
        if remark:
            above.append(remark[1])
            continue
        key = re.match(r"(\s*)([\w]+):(?:\s|$)", line)
        if key:
            path = [*(each for each in path if each[0] < len(key[1])), (len(key[1]), key[2])]
            _, mark, tail = line.partition(" # ")
            said = tail if mark else " ".join(above)
            if said:
                found[".".join(name for _, name in path)] = said
        above = []
    return found
