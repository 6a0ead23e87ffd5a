"""How the tests are built: what they share stands in tests/support, and how many examples they draw."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.trials import CI, DEV, trials

ROOT = Path(__file__).parents[3]


def imported(source: Path) -> Iterator[str]:
    """The modules that a file imports from."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_no_test_file_imports_from_another() -> None:
    """What two of them need is in tests/support (or, for faults alone, beside them): a test file can be moved or go."""
    for source in (ROOT / "tests").rglob("*.py"):
        found = [name for name in imported(source) if re.search(r"^tests\..*\btest_", name)]
        assert not found, source


@pytest.fixture
def profile() -> Iterator[None]:
    """Whatever profile is loaded is loaded again afterwards."""
    before = settings.get_current_profile_name()
    yield
    settings.load_profile(before)


@pytest.mark.usefixtures("profile")
def test_ci_draws_what_a_test_asks_for_and_dev_a_twentieth() -> None:
    """Under `dev` nothing draws more than 12, and nothing draws none; what a test suppresses it suppresses in both."""
    asked = (1, 15, 60, 100, 600)
    settings.load_profile(CI)
    assert [trials(count).max_examples for count in asked] == [*asked]
    settings.load_profile(DEV)
    assert [trials(count).max_examples for count in asked] == [1, 1, 3, 5, 12]
    assert settings().max_examples == 12
    check = HealthCheck.function_scoped_fixture
    assert tuple(trials(100, suppress_health_check=[check]).suppress_health_check) == (check,)


def test_make_test_draws_as_ci_and_make_test_unit_as_one_works() -> None:
    """Each target names its profile, so that the environment changes neither."""
    targets = dict(
        re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert f"--hypothesis-profile={CI} " in targets["test"]
    assert f"--hypothesis-profile={DEV} " in targets["test-unit"]
