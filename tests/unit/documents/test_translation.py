"""README.zh.md says what README.md says: the same structure, commands, links, names and numbers."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[3]
ENGLISH: Final = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE: Final = (ROOT / "README.zh.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """A document without its blocks of code."""
    return BLOCK.sub("", text)


def shape(text: str) -> list[str]:
    """What each line is, in order: a heading of a level, a row of so many cells, an item of a list, an image."""
    marks = {"#": r"#+(?= )", "|": r"\|.*\|", "-": r"-(?= )", "<img": r"<img"}
    found = []
    for line in prose(text).splitlines():
        for name, pattern in marks.items():
            match = re.match(pattern, line)
            if match:
                found.append(match[0] if name != "|" else f"| {line.count('|')}")
    return found


def links(text: str) -> list[str]:
    """Where the links lead, and the pictures; each README's link to the other one aside."""
    found = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", text)
    return sorted(markdown or html for markdown, html in found if "README" not in markdown or "/" in markdown)


def names(text: str) -> list[str]:
    """The pieces between backquotes, outside of blocks."""
    return sorted(re.findall(r"`([^`]+)`", prose(text)))


def numbers(text: str) -> list[str]:
    """The numbers outside of code, links and the attributes of pictures."""
    plain = re.sub(r"`[^`]+`|\]\([^)]+\)|(?:src|width)=\"[^\"]+\"", " ", prose(text))
    return sorted(re.findall(r"\d[\d,.]*\d|\d", plain))


def test_the_blocks_of_code_are_the_same() -> None:
    """Commands and what is said beside them, in the same order."""
    assert BLOCK.findall(CHINESE) == BLOCK.findall(ENGLISH)


def test_the_structure_is_the_same() -> None:
    """Headings, tables, lists and pictures, in the same order."""
    assert shape(CHINESE) == shape(ENGLISH)


def test_the_links_lead_to_the_same_places() -> None:
    """Sentences may have them in another order; each leads to the other language, too."""
    assert links(CHINESE) == links(ENGLISH)
    assert "](README.zh.md)" in ENGLISH
    assert "](README.md)" in CHINESE


def test_names_and_numbers_are_the_same() -> None:
    """Commands, settings, labels, versions, days, minutes."""
    assert names(CHINESE) == names(ENGLISH)
    assert numbers(CHINESE) == numbers(ENGLISH)


def test_each_heading_and_item_is_in_chinese() -> None:
    """Nothing was left untranslated but names."""
    lines = [line for line in prose(CHINESE).splitlines() if re.match(r"##+ |- |\| (?!你是|-)", line)]
    assert [line for line in lines if not re.search(r"[\u4e00-\u9fff]", line)] == ["- [English](README.md)"]
