"""Expected beside published: whatever the two streams and however they are interleaved, each difference is counted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from segflow.operations.repair.chains import Chains, PublishedChange, start_of
from segflow.operations.repair.comparison import Comparison, Differences
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings

streams = st.lists(st.integers(0, 30), max_size=40)


def compared(expected: list[int], published: list[int], ahead: int = 0, *, whole: bool = True) -> Differences:
    """Both streams fed side by side, the published one `ahead` records before the other."""
    comparison = Comparison()
    for place in range(max(len(expected), len(published) + abs(ahead)) + abs(ahead)):
        if 0 <= place - max(0, -ahead) < len(published):
            number = published[place - max(0, -ahead)]
            comparison.find(b"%d" % number, number, b"", "")
        if 0 <= place - max(0, ahead) < len(expected):
            number = expected[place - max(0, ahead)]
            comparison.expect(b"%d" % number, number, b"", "")
    return comparison.finish(newer=False, whole=whole)


@given(expected=st.lists(st.integers(0, 30), unique=True, max_size=30), published=streams, ahead=st.integers(-5, 5))
def test_lost_repeated_and_foreign_are_the_differences_of_the_multisets(
    expected: list[int], published: list[int], ahead: int
) -> None:
    """By counting; none depends on the order or on which stream is read ahead."""
    found = compared(expected, published, ahead)
    should, there = Counter(expected), Counter(published)
    assert Counter(int(item.identity) for item in found.lost) == should - there
    extra = there - should
    again = Counter({number: count for number, count in extra.items() if should[number]})
    assert Counter(int(item.identity) for item in found.repeated) == again
    assert Counter(int(item.identity) for item in found.foreign) == extra - again
    assert not found.altered


@given(order=st.permutations(range(12)), ahead=st.integers(-5, 5))
def test_reordered_counts_what_stands_behind_a_later_one(order: list[int], ahead: int) -> None:
    """Nothing else is wrong with a permutation; only the order itself has none."""
    found = compared(list(range(12)), order, ahead)
    assert found.reordered == sum(number < max(order[: place + 1]) for place, number in enumerate(order))
    assert found.lost == found.repeated == found.foreign == []
    assert bool(found) == (order != sorted(order))


def test_other_bytes_under_the_same_identity_are_altered() -> None:
    """It is there, and it is not what it was."""
    comparison = Comparison()
    comparison.expect(b"a", 1, b"", "")
    comparison.find(b"a", 2, b"", "offset 0")
    assert [item.where for item in comparison.finish(newer=False, whole=True).altered] == ["offset 0"]


def test_what_was_published_after_the_last_that_was_expected_may_be_newer() -> None:
    """A worker goes on: records at the end without a partner are no difference then, those in the middle still are."""
    comparison = Comparison()
    for name in (b"a", b"x", b"b", b"later"):
        comparison.find(name, 0, b"", "")
    for name in (b"a", b"b"):
        comparison.expect(name, 0, b"", "")
    assert [item.identity for item in comparison.finish(newer=True, whole=True).foreign] == [b"x"]


def test_where_not_all_was_expected_the_unknown_is_not_foreign() -> None:
    """A repetition is one all the same."""
    found = compared([1, 2], [1, 2, 2, 9], whole=False)
    assert ([item.identity for item in found.repeated], found.foreign) == ([b"2"], [])


def change(version: int, previous: str | None, current: str | None, dimension: str = "lifecycle") -> PublishedChange:
    """A change of one customer."""
    return PublishedChange(
        change_id="", customer_id="c", dimension=dimension, previous=previous, current=current, version=version
    )


def test_a_chain_begins_at_the_models_start_and_goes_on_from_label_to_label() -> None:
    """Rfm starts at none, lifecycle at null; a dimension that did not move keeps its label."""
    chains = Chains(cut=False, start=start_of(from_settings(Settings())))
    assert chains.add(change(1, None, "new")) is None
    assert chains.add(change(2, "none", "promising", "rfm")) is None
    assert chains.add(change(3, "promising", "none", "rfm")) is None
    assert chains.add(change(4, "new", "active")) is None


def test_each_way_a_chain_can_break_is_told() -> None:
    """A version left out, one again, one too late, a label nobody left, a customer who begins in the middle."""
    chains = Chains(cut=False, start={"lifecycle": None})
    assert "the first is version 2" in (chains.add(change(2, None, "new")) or "")
    assert "version 2 is followed by version 4" in (chains.add(change(4, "new", "active")) or "")
    assert "version 4 comes again or too late" in (chains.add(change(4, "new", "active")) or "")
    assert "version 3 comes again or too late" in (chains.add(change(3, "new", "active")) or "")
    assert "was 'active', but the change says 'loyal'" in (chains.add(change(5, "loyal", "new")) or "")


def test_where_the_beginning_is_cut_a_chain_begins_where_it_is_first_seen() -> None:
    """Any version and any label, once a dimension."""
    chains = Chains(cut=True, start={"lifecycle": None, "rfm": "none"})
    assert chains.add(change(7, "new", "active")) is None
    assert chains.add(change(8, "promising", "loyal", "rfm")) is None
    assert chains.add(change(9, "promising", "loyal", "rfm")) is not None
