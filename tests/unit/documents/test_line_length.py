"""No line of a document is longer than a line of the code."""

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
LINE_MAX: Final = 120
DOCUMENTS: Final = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "examples" / "README.md"]
)


def prose(text: str) -> list[str]:
    """The lines of a document without code blocks, rows of tables and lines of one link.

    None of these three can be broken: code is what a program reads or prints, a row is one line, and so is an address.
    """
    without_code = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    one_link = r"\s*(?:[-*] )?(?:\[[^\]]*\](?:\([^)]*\)|: \S+)|<?https?://\S+)[.:]?"
    lines = without_code.splitlines()
    return [line for line in lines if not line.lstrip().startswith("|") and not re.fullmatch(one_link, line)]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_line_is_longer_than_the_code_s(path: Path) -> None:
    """120 characters."""
    assert [line for line in prose(path.read_text(encoding="utf-8")) if len(line) > LINE_MAX] == []
