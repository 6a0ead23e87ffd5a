"""Markdown as the reference pages use it: paragraphs within the house's width, tables, code."""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

WIDTH: Final = 120
"""The longest line of a document; a row of a table cannot be broken and may be longer."""


def paragraph(text: str) -> str:
    """`text` in lines of at most WIDTH characters."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def bullet(text: str) -> str:
    """`text` as an item of a list."""
    return textwrap.fill(
        " ".join(text.split()),
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def sentence(text: str) -> str:
    """`text` with a capital at its start and a full stop at its end."""
    text = " ".join(text.split())
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def code(text: str) -> str:
    """`text` as code in a line."""
    return f"`{text}`"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is kept as text."""
    lines = [heading, *rows]
    written = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([written[0], "|" + "---|" * len(heading), *written[1:]])


def block(text: str, language: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def page(title: str, *parts: str) -> str:
    """A whole page that a command writes."""
    note = "<!-- Written from the code by `make docs-reference`. Change the code, not this page. -->"
    return "\n\n".join([note, f"# {title}", *(part for part in parts if part)]) + "\n"
