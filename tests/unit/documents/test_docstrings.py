"""Docstrings say what a thing is, or what it does; none begins as a question does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[3]
ROOMS: Final = ("benchmarks", "docgen", "evaluation", "examples", "schemas", "segflow", "state", "streams")
"""The tests are not among them: a test's docstring states a fact, in a whole sentence."""
QUESTION: Final = re.compile(r"(What|How|Which|Where|Who|Whose|Whom|Why|When)\b")


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each string that stands alone: of modules, classes, functions, constants and attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_begins_as_a_question(room: str) -> None:
    """It reads "The label of a customer", not "What a customer is"."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for line, text in docstrings(path.read_text(encoding="utf-8"))
        if QUESTION.match(text.lstrip())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is."""',
        'LIMIT = 3\n"""How many there are."""',
        'class Shard:\n    """Where it is."""',
        'class Shard:\n    async def run(self):\n        """\n        When it ran."""',
    ],
)
def test_each_kind_of_docstring_is_seen(source: str) -> None:
    """A module's, a constant's, a class's and a method's."""
    assert [bool(QUESTION.match(text.lstrip())) for _, text in docstrings(source)] == [True]
