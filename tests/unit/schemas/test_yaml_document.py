"""Settings as text: whatever is written there is read, or refused with its place."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas import settings_file, yaml_document
from segflow.schemas.settings_file import SettingsError
from segflow.schemas.yaml_document import NODES_MAX, DocumentError

ROOT = Path(__file__).parents[3]
EXAMPLES = [yaml.safe_load((ROOT / "examples" / name).read_text()) for name in ("segflow.yaml", "dimensions.yaml")]
HOSTILE: list[Any] = [
    None, True, -1, 0, 10**30, 1.5, float("inf"), float("nan"), "", "x" * 5000, "60d", "\x85", "é", [], [None], {},
    {"a": 1}, {1: 2}, [[[]]], {"": None}, "9" * 5000, -0.0, {None: None}, [{"label": 1, "when": 2}], 2**63,
]  # fmt: skip


def loaded(tmp_path: Path, text: str) -> Any:
    """Settings read from a file of this text."""
    path = tmp_path / "segflow.yaml"
    path.write_text(text, encoding="utf-8")
    return settings_file.load(path, environment={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clock: wall\nclock: event\n", "'clock' is written twice, in lines 1 and 2"),
        ("clock: wall\n'clock': event\n", "'clock' is written twice, in lines 1 and 2"),
        (
            "lifecycle:\n  at_risk_after: 1d\n  at_risk_after: 2d\n",
            "'at_risk_after' is written twice, in lines 2 and 3",
        ),
        ("engagement: {weights: {view: 1.0, view: 2.0}}", "'view' is written twice, in lines 1 and 1"),
        ("a: &a [*a]", "contains itself"),
        ("? [a]\n: b", "line 1, column 3: a key must be a plain word"),
        ("clock: !!binary x", "line 1, column 8: settings have no values with a tag of their own"),
        ("clock: !!bool x", "line 1, column 8: is no yes or no that can be read"),
        ("clock: !!int ''", "line 1, column 8: is no number that can be read"),
        ("clock: 0b_", "line 1, column 8: is no number that can be read"),
        (f"clock: {'9' * 5000}", "line 1, column 8: is no number that can be read"),
        ("[" * 100_000, "line 1: lists and mappings are nested deeper than 100"),
    ],
)
def test_what_settings_cannot_have_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """Also what PyYAML answers with a KeyError, an AttributeError, an IndexError, a ValueError or a RecursionError."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, text)
    assert message in str(refused.value)


def test_a_few_lines_of_aliases_are_no_bomb() -> None:
    """Nine aliases of nine aliases and so on would be a billion values."""
    lines = ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{each}: &a{each} [{', '.join([f'*a{each - 1}'] * 9)}]" for each in range(1, 10)]
    with pytest.raises(DocumentError, match=f"more than {NODES_MAX:,} values"):
        yaml_document.read("\n".join(lines))


def test_a_key_of_a_merged_mapping_may_be_written_again() -> None:
    """`<<` brings defaults, and what stands beside it wins: that is what it is for."""
    text = "base: &base {view: 1, cart: 2}\nown:\n  <<: *base\n  view: 3\n"
    assert yaml_document.read(text)["own"] == {"view": 3, "cart": 2}


def test_a_date_without_quotes_is_the_text_it_is() -> None:
    """YAML would make an object of it that no setting takes, and fail at the 31st of February."""
    assert yaml_document.read("a: 2026-02-31") == {"a": "2026-02-31"}


@st.composite
def spoilt(draw: st.DrawFn) -> Any:
    """An example's settings, with something hostile in one to four places."""
    content = copy.deepcopy(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        node = content
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and node[key] and draw(st.integers(0, 3)):
                node = node[key]
                continue
            node[key] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
            break
    return content


@given(spoilt())
def test_whatever_the_settings_hold_they_are_read_or_refused(content: Any) -> None:
    """No other error gets out: it would be a traceback."""
    try:
        settings_file.parse(content, name="settings", environment={})
    except SettingsError:
        return


@given(st.text(alphabet=st.sampled_from(list("abc:-[]{}&*!|>'\"\n #?,0.1<~\t%@`")), max_size=60))
def test_whatever_the_text_is_it_is_read_or_refused(text: str) -> None:
    """Marks of YAML in any order."""
    try:
        yaml_document.read(text)
    except DocumentError:
        return
