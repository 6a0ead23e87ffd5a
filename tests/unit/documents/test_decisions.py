"""The decision notes: one form for all, and an index that names each."""

import re
from pathlib import Path
from typing import Final

import pytest

FOLDER: Final = Path(__file__).parents[3] / "docs" / "decisions"
NOTES: Final = sorted(FOLDER.glob("[0-9]*.md"))
INDEX: Final = (FOLDER / "README.md").read_text(encoding="utf-8")
LINE_MAX: Final = 120


def number_of(note: Path) -> str:
    """The three digits with which a note's file name begins."""
    return note.name[:3]


def text_of(note: Path) -> str:
    """A note."""
    return note.read_text(encoding="utf-8")


def numbers_after(words: str, note: Path) -> set[str]:
    """The notes that the paragraph beginning with `words` links to."""
    found = re.search(rf"^\*\*{re.escape(words)}(.+?)\n\n", text_of(note), re.MULTILINE | re.DOTALL)
    return set(re.findall(r"\[(\d{3})\]\(", found[1])) if found else set()


@pytest.mark.parametrize("note", NOTES, ids=number_of)
def test_a_note_has_context_choice_and_rejected(note: Path) -> None:
    """In that order, behind a title that begins with the note's number; what was rejected is a list."""
    text = text_of(note)
    assert re.match(rf"# {number_of(note)} \S", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Context", "Choice", "Rejected"]
    assert set(headings[3:]) <= {"Price", "Gain", "Figures"}
    assert "\n- **" in text.partition("\n## Rejected\n")[2]


@pytest.mark.parametrize("path", [FOLDER / "README.md", *NOTES], ids=number_of)
def test_no_line_is_longer_than_the_code_s(path: Path) -> None:
    """120 characters."""
    assert [line for line in text_of(path).splitlines() if len(line) > LINE_MAX] == []


def test_no_number_is_given_twice() -> None:
    """A number names one note."""
    numbers = [number_of(note) for note in NOTES]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("note", NOTES, ids=number_of)
def test_the_index_names_a_note_by_its_title(note: Path) -> None:
    """Once, with a link to its file, and with the notes that replaced it."""
    title = text_of(note).partition("\n")[0].removeprefix(f"# {number_of(note)} ")
    replaced = "".join(f", [{number}]" for number in sorted(numbers_after("Status:** replaced by", note)))
    mark = f" *(replaced by {replaced[2:]})*" if replaced else ""
    assert INDEX.count(f"\n- [{number_of(note)}] {title}{mark}\n") == 1
    assert INDEX.count(f"\n[{number_of(note)}]: {note.name}\n") == 1


def test_the_index_names_no_other_note() -> None:
    """Each of its lines and links has a file."""
    known = {number_of(note) for note in NOTES}
    assert set(re.findall(r"^- \[(\d{3})\]", INDEX, re.MULTILINE)) == known
    assert set(re.findall(r"^\[(\d{3})\]:", INDEX, re.MULTILINE)) == known


def test_a_note_that_replaces_another_is_named_by_it() -> None:
    """The two say the same: one in its status, the other in what it replaces."""
    replaced = {(number_of(note), by) for note in NOTES for by in numbers_after("Status:** replaced by", note)}
    replaces = {(old, number_of(note)) for note in NOTES for old in numbers_after("Replaces:**", note)}
    assert replaced == replaces
