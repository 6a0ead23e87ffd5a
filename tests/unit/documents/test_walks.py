"""The four walks of docs/architecture.md go by functions that there are."""

import ast

import pytest

from tests.support.walks import ROOT, documented

STOPS = [(walk, *stop) for walk, stops in documented().items() for stop in stops]


def functions_of(tree: ast.Module) -> set[str]:
    """Functions of a file, and methods with their class."""
    found = set()
    for each in tree.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(each.name)
        elif isinstance(each, ast.ClassDef):
            methods = (one for one in each.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{each.name}.{method.name}" for method in methods}
    return found


def test_there_are_four() -> None:
    """Each with its stops."""
    assert len(documented()) == 4
    assert min(map(len, documented().values())) > 9


@pytest.mark.parametrize(("walk", "file", "function"), STOPS)
def test_every_stop_of_a_walk_is_a_function_of_its_file(walk: str, file: str, function: str) -> None:
    """The page would lead nowhere."""
    assert function in functions_of(ast.parse((ROOT / file).read_text(encoding="utf-8"))), walk
