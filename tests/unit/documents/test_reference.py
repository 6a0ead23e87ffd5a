"""docs/reference/ is what the code says, and complete."""

import re
from typing import Any, Final

import pytest
from pydantic import BaseModel

from docgen import json_schema, reference, settings_page
from docgen.markdown import WIDTH, paragraph
from segflow.cli.commands import SUMMARIES
from segflow.schemas.duration import PATTERN
from segflow.schemas.settings import Settings

PAGES: Final = {name: made() for name, made in reference.PAGES.items()}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_as_the_code_gives_it(name: str) -> None:
    """`make docs-reference` would change nothing."""
    kept = (reference.FOLDER / name).read_text(encoding="utf-8")
    assert kept == PAGES[name], f"docs/reference/{name} is stale: run `make docs-reference`"


def test_every_command_has_a_row_and_a_section() -> None:
    """One each, in the order of the help."""
    page = PAGES["commands.md"]
    assert re.findall(r"^\| \[`segflow ([a-z-]+)`\]\(#segflow-\1\) \|", page, re.MULTILINE) == list(SUMMARIES)
    assert re.findall(r"^## segflow ([a-z-]+)$", page, re.MULTILINE) == list(SUMMARIES)
    assert page.count("**Exit codes:** 0 ") == len(SUMMARIES)


def leaves(model: type[BaseModel], path: str = "") -> list[str]:
    """The dotted path of every field that is no section."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        section: Any = field.annotation
        here = f"{path}.{name}".lstrip(".")
        is_section = isinstance(section, type) and issubclass(section, BaseModel)
        found += leaves(section, here) if is_section else [here]
    return found


def test_every_setting_has_a_row_with_nothing_left_blank() -> None:
    """Type, default, meaning, what a change of it takes."""
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| (.+)\|$", PAGES["settings.md"], re.MULTILINE)
    assert sorted(path for path, _ in rows) == sorted(leaves(Settings))
    for path, row in rows:
        cells = [cell.strip() for cell in row.split(" | ")]
        assert len(cells) == 3, path
        assert all(cells), path
        assert re.fullmatch(r"\*.+\*: .+", cells[-1]), path


@pytest.mark.parametrize("name", ["events.md", "changes.md"])
def test_every_field_of_a_message_says_what_it_means(name: str) -> None:
    """But for headers whose value is always the same one."""
    rows = re.findall(r"^\| `([\w-]+)` \| (.+?) \| (?:yes|no)[^|]*\| (.*?) ?\|$", PAGES[name], re.MULTILINE)
    assert len(rows) > 20
    assert [field for field, kind, meaning in rows if not meaning and not re.fullmatch(r"`[^`]+`", kind)] == []


def test_only_the_rows_of_tables_are_wider_than_the_house() -> None:
    """And code, which nobody breaks."""
    assert max(map(len, paragraph("word " * 100).splitlines())) <= WIDTH


def test_a_schema_is_told_in_words() -> None:
    """The kinds of field there are."""
    root: json_schema.Schema = {"$defs": {"Inner": {"type": "object", "properties": {"a": {"type": "null"}}}}}
    said: dict[str, json_schema.Schema] = {
        "duration": {"type": "string", "pattern": PATTERN},
        "`a` `b`": {"type": "string", "enum": ["a", "b"]},
        "whole number, 1 to 64 or null": {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 64}, {"type": "null"}]
        },
        "decimal, above 0": {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string"}]},
        "list of 2: text": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string"}]},
        "mapping of names to true or false": {"type": "object", "additionalProperties": {"type": "boolean"}},
        "object": {"$ref": "#/$defs/Inner"},
        "text, at most 9 characters": {"type": "string", "maxLength": 9},
        "time": {"type": "string", "format": "date-time"},
        "any": {},
    }
    assert {text: json_schema.kind(schema, root) for text, schema in said.items()} == {text: text for text in said}


def test_a_comment_of_the_example_belongs_to_its_setting() -> None:
    """At the end of the line, else the lines above it."""
    text = "# first\n# second\na: 1\nb:\n  c: 2 # of c\n  # of d\n  d: [x] \n  e: 3\n"
    assert settings_page.comments(text) == {"a": "first second", "b.c": "of c", "b.d": "of d"}
