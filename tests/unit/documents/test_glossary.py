"""The glossary: each term once, in order, in a few plain sentences; every page leads to it."""

import re
from pathlib import Path
from typing import Final

from segflow.schemas.change import Cause, Change

DOCS: Final = Path(__file__).parents[3] / "docs"
TEXT: Final = (DOCS / "glossary.md").read_text(encoding="utf-8")
CHAPTERS: Final = re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
ENTRIES: Final = {
    term: " ".join(said.split())
    for _, chapter in CHAPTERS
    for term, said in re.findall(r"^### (.+?)\n\n(.+?)(?=\n### |\Z)", chapter, re.MULTILINE | re.DOTALL)
}
SENTENCES_MOST: Final = 4
"""More is an explanation, and has a page of its own."""


def test_terms_are_in_order_and_none_is_there_twice() -> None:
    """Within each chapter, by the alphabet."""
    for title, chapter in CHAPTERS:
        terms = re.findall(r"^### (.+)$", chapter, re.MULTILINE)
        assert terms == sorted(terms, key=str.lower), title
    assert len(ENTRIES) == len(re.findall(r"^### ", TEXT, re.MULTILINE))


def test_each_term_is_said_in_a_few_sentences() -> None:
    """Whole ones."""
    for term, said in ENTRIES.items():
        assert said.endswith("."), term
        assert len(re.findall(r"[.!?](?: |$)", said)) <= SENTENCES_MOST, term


def test_the_terms_of_changes_are_there() -> None:
    """Both modes, and all causes in the entry of the cause."""
    terms = {term.lower() for term in ENTRIES}
    assert {"live", "backfill", "late", "holdout", "dimension", "definition", "version", "effective at"} <= terms
    (causes,) = [said for term, said in ENTRIES.items() if term == "Cause"]
    assert set(re.findall(r"`(\w+)`", causes)) == set(Cause.model_json_schema()["properties"]["kind"]["enum"])
    assert "Cut version" in ENTRIES
    assert "cuts" in Change.model_fields


def test_the_pages_for_readers_lead_to_the_glossary() -> None:
    """The README, the index, the tutorial, the pages by role, the architecture."""
    root = DOCS.parent
    pages = [root / "README.md", DOCS / "README.md", DOCS / "tutorial" / "README.md", DOCS / "architecture.md"]
    pages += sorted((DOCS / "for").glob("*.md"))
    assert [path.name for path in pages if "glossary.md" not in path.read_text(encoding="utf-8")] == []
