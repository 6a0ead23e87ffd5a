"""What a record that is no event is taken for: whatever the bytes are, nothing is raised."""

from hypothesis import example, given
from hypothesis import strategies as st

from segflow.operations.recognition import looks_like


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",;\t\r\n\0\x85ab', max_size=60).map(str.encode))
@example(b'{"a":\n "b"}x')
@example(b"a,b\r\nc,d")
@example(b"x" * 200_000)
def test_any_bytes_are_looked_at_without_an_error(value: bytes) -> None:
    """Text of several lines, half a quote, a cell of 200 kB: recognised as something or as nothing."""
    assert looks_like(value) is None or looks_like(value)


def test_text_of_several_lines_is_recognised_by_its_first() -> None:
    """A whole CSV file in one record."""
    assert looks_like(b"id,name,total\n1,Ann,20\n") == "CSV (columns id, name, total)"
