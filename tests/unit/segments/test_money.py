"""Sums of money: exact as long as they fit 64 bits, and refused by name where they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.segments.money import add_checked
from tests.support.trials import trials

amounts = st.integers(-(2**63), 2**63 - 1)


@given(held=amounts, added=amounts)
@trials(200)
def test_a_sum_is_exact_or_refused(held: int, added: int) -> None:
    """As whole numbers of any size have it, and the first row that does not fit is named."""
    columns = np.array([1, held], dtype=np.int64), np.array([2, added], dtype=np.int64)
    if -(2**63) <= held + added < 2**63:
        assert add_checked(*columns, str).tolist() == [3, held + added]
    else:
        with pytest.raises(OverflowError, match=r"the net money of row 1 no longer fits 64 bits"):
            add_checked(*columns, lambda row: f"row {row}")
