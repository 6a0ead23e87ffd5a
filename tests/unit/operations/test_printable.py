"""Text from outside on a terminal: nothing in it is obeyed, nothing of it is lost."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from segflow.operations.printable import printable, printable_json

OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Categories of Unicode that a terminal obeys, reorders by or breaks lines at."""


@given(st.text(max_size=40) | st.text(alphabet="\x07\x1b\x7f\x85\x9b\u202e\u2066\u2028a", max_size=20))
def test_json_for_a_terminal_is_the_same_json_without_what_a_terminal_obeys(text: str) -> None:
    """DEL, C1 controls, marks of direction and separators stand there as escapes, and any reader gets them back."""
    shown = printable_json(json.dumps({"customer_id": text}, ensure_ascii=False))
    assert json.loads(shown) == {"customer_id": text}
    assert not [char for char in shown if unicodedata.category(char) in OBEYED]


@given(st.text(max_size=40))
def test_text_for_a_terminal_has_nothing_that_it_obeys(text: str) -> None:
    """The same for what is no JSON."""
    assert not [char for char in printable(text) if unicodedata.category(char) in OBEYED]


def test_ordinary_names_stay_as_they_are() -> None:
    """Also in other scripts."""
    assert printable_json('{"a": "Zoë 小明 🙂"}') == '{"a": "Zoë 小明 🙂"}'
