"""The oracle's value dimension, held to examples worked out by hand from the contract."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.rules import OracleRules
from tests.oracle.simulation import Adopt, Shard, simulate
from tests.oracle.value import is_counted, population_cuts
from tests.support.by_hand import MICROSECOND, Item, day, only, purchase, refund, segment
from tests.support.trials import trials

VALUE = only("value")
RATIO = Fraction(101, 100)


@pytest.mark.parametrize(
    ("amount", "label"),
    [("0", "c"), ("249.99", "c"), ("250", "b"), ("999.99", "b"), ("1000", "a"), ("5000", "a")],
)
def test_a_class_is_reached_at_its_cut(amount: str, label: str) -> None:
    """Net money at or above a cut, to the cent."""
    assert segment([purchase("p", 0, amount)], "value", VALUE) == label


def test_who_costs_money_is_c_and_who_returned_everything_is_none() -> None:
    """Money alone makes no class: an order that counts does."""
    log: list[Item] = [purchase("p", 0, "1000")]
    assert segment([*log, refund("r", 1, "1200")], "value", VALUE) == "c"
    assert segment([*log, refund("r", 1, "1", full=True)], "value", VALUE) == "none"
    assert segment([refund("r", 1, "1")], "value", VALUE) == "none"


def test_value_starts_at_none_without_a_change_and_silence_leaves_it_alone() -> None:
    """The first change is the first purchase's; nothing follows."""
    (change,) = simulate([purchase("p", 0, "250")], VALUE)
    assert (change["previous"], change["current"], change["next"]) == ("none", "b", None)


def test_new_cuts_move_customers_when_they_are_adopted() -> None:
    """Adopting is a recut like that of rfm."""
    lower = OracleRules(dimensions=("value",), value_cuts=(250, 100), cuts=7)  # type: ignore[arg-type]  # whole numbers
    change = simulate([purchase("p", 0, "250"), Adopt(lower, "recut")], VALUE)[-1]
    assert (change["previous"], change["current"], change["cause"], change["cuts"]) == ("b", "a", {"kind": "recut"}, 7)


@pytest.mark.parametrize(
    ("moneys", "cuts"),
    [
        ([70, 20, 10], (70, 20)),  # the running shares are 0.70, 0.90 and 1: each reached at its customer
        ([69, 21, 10], (21, 21)),  # 0.69 is not 0.70: who straddles it is in A, and B is empty
        ([100], (100, 100)),
        ([50, 50], (50, 50)),  # ties stay together
        ([10] * 10, (10, 10)),
        ([40, 30, 15, 10, 5], (30, 10)),  # 0.40 0.70 | 0.85 0.95 | 1
    ],
)
def test_exact_cuts_end_a_class_where_the_running_share_reaches_its_share(
    moneys: list[int], cuts: tuple[int, ...]
) -> None:
    """By hand, from the most valuable down."""
    assert [int(cut) for cut in population_cuts(moneys, VALUE)] == list(cuts)


def test_a_population_without_money_has_no_cuts() -> None:
    """There is nothing to take a share of."""
    with pytest.raises(ValueError, match="share"):
        population_cuts([], VALUE)


@given(moneys=st.lists(st.integers(1, 10**9), min_size=1, max_size=50))
@trials(50)
def test_cuts_of_bins_are_the_exact_ones_or_at_most_a_bin_below(moneys: list[int]) -> None:
    """A bin that straddles a share goes wholly to the higher class: the cut is that bin's lower end."""
    for cut, exact in zip(population_cuts(moneys, VALUE, RATIO), population_cuts(moneys, VALUE), strict=True):
        assert cut <= exact < cut * RATIO


def test_the_living_with_an_order_and_money_are_counted() -> None:
    """Not the churned, not who returned everything, not who brought nothing."""
    shard = Shard(VALUE)
    log: list[Item] = [purchase("p", 0, "5", customer="lives"), purchase("p", 0, "0", customer="paid nothing")]
    log += [purchase("p", 0, "9", customer="returned"), refund("r", 1, "1", customer="returned", full=True)]
    for item in log:
        shard.step(item)

    def counted(at: float) -> list[str]:
        moment = day(at) - MICROSECOND
        return [who for who, customer in shard.customers.items() if is_counted(customer.facts, moment, VALUE)]

    assert counted(180) == ["lives"]
    assert counted(180.1) == []
