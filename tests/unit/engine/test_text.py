"""Columns of text."""

import subprocess
import sys
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns import text

PIECES = st.lists(st.binary(max_size=5), max_size=20)
LOADED: Final = """
import sys
import numpy as np
from segflow.engine.columns import text
text.joined(text.gathered(text.whole(np.arange(3)), np.arange(2)), b"x", text.column([b"a", b"b"]))
print(*sys.modules)
"""


@given(pieces=PIECES)
def test_a_column_holds_its_pieces(pieces: list[bytes]) -> None:
    """Each, also an empty one, in their order."""
    assert text.column(pieces).to_pylist() == pieces


@given(pieces=PIECES.filter(bool), data=st.data())
def test_pieces_are_gathered_by_their_places(pieces: list[bytes], data: st.DataObject) -> None:
    """Wherever the places lie in memory."""
    places = np.array(data.draw(st.lists(st.integers(0, len(pieces) - 1), max_size=20)), dtype=np.intp)
    backwards = places[::-1]
    assert text.gathered(text.column(pieces), backwards).to_pylist() == [pieces[place] for place in backwards]


@given(numbers=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_are_written_in_decimal(numbers: list[int]) -> None:
    """All that 64 bits hold."""
    written = text.whole(np.array(numbers, dtype=np.int64))
    assert written.to_pylist() == [str(number).encode() for number in numbers]


def test_no_column_needs_pandas() -> None:
    """Where it is installed, as here, pyarrow would import it for a list or an array: a fifth of a worker's start."""
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    assert "pyarrow" in done.stdout.split()
    assert "pandas" not in done.stdout.split()
