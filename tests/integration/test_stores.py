"""One contract for both stores: what holds for memory holds for Redis."""

import asyncio

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from segflow.schemas.connection_settings import Redis
from segflow.state.erasure import Erasure
from segflow.state.head import PAGE_CUSTOMERS, Head, Position
from segflow.state.keys import Keys
from segflow.state.layout import NO_TIMER
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.state.redis_connection import client
from segflow.state.redis_servers import OneServer
from segflow.state.store import HOLE, LedgerEntry, RolledBackError, ShardLostError, Store, Write
from tests.support.trials import trials


def write(head: Head, **changes: object) -> Write:
    """A write of nothing but `changes`."""
    return Write(**({"records": [], "timers": [], "born": [], "head": head} | changes))  # type: ignore[arg-type]


def test_an_unused_shard_has_no_head(store: Store) -> None:
    """Nothing was taken yet."""
    assert store.head() is None


def test_what_is_committed_is_read_back(store: Store) -> None:
    """Records, timers, directory and head come back as they went in."""
    first = Head(owner="me")
    store.acquire(first, None)
    store.begin(first)
    head = Head(owner="me", sequence=1, purchases=Position(offset=7), population=2)
    store.commit(write(head, records=[("a", b"1"), ("ü", b"\x00\xff")], timers=[("ü", 5), ("a", 5)], born=["ü", "a"]))
    assert store.head() == head
    assert store.load(["a", "b", "ü"]) == [b"1", None, b"\x00\xff"]
    assert store.due(4, 10) == []
    assert store.due(5, 10) == ["a", "ü"]
    assert store.due(5, 1) == ["a"]
    assert store.page(0) == ["ü", "a"]
    assert store.page(1) == []


def test_a_commit_in_two_halves_is_a_commit(store: Store) -> None:
    """Where the answer is still to come, it can be waited for before it is read."""
    first = Head(owner="me")
    store.acquire(first, None)
    head = Head(owner="me", sequence=1, population=1)
    store.begin(first)
    store.send(write(head, records=[("a", b"1")], timers=[("a", 5)], born=["a"]))
    asyncio.run(store.answered(30))
    store.settle()
    assert store.head() == head
    assert store.load(["a"]) == [b"1"]


def test_customers_by_label_are_added_up(store: Store) -> None:
    """What a commit makes more and fewer is added to what there was; what has come to nobody is not there."""
    before = Head(owner="me")
    store.acquire(before, None)
    assert store.counts() == {}
    for sequence, counts in enumerate(
        ([("rfm", "champion", 3), ("lifecycle", "new", 2)], [], [("rfm", "champion", -3), ("lifecycle", "new", 1)]), 1
    ):
        store.begin(before)
        before = Head(owner="me", sequence=sequence, counted=True)
        store.commit(write(before, counts=counts))
    assert store.counts() == {("lifecycle", "new"): 3}
    store.wipe()
    assert store.counts() == {}


def test_clearing_leaves_the_mark_and_nothing_else(store: Store) -> None:
    """Ended halfway it would be marked, too: the mark is written first, over the expected head only."""
    first = Head(owner="me")
    store.acquire(first, None)
    head = Head(owner="me", sequence=1, population=600)
    ids = [f"c{number}" for number in range(600)]
    records = [(each, b"1") for each in ids]
    store.begin(first)
    store.commit(write(head, records=records, timers=[(each, 5) for each in ids], born=ids))
    mark = Head(owner="other", partial=True)
    with pytest.raises(ShardLostError):
        store.clear(mark, first)
    assert store.load(["c1"]) == [b"1"]
    store.clear(mark, head)
    assert store.head() == mark
    assert store.load(ids) == [None] * 600
    assert store.due(10, 10) == store.page(0) == store.page(1) == []
    assert store.torn(mark) is None


def test_a_timer_moves_and_goes(store: Store) -> None:
    """A customer has one timer; NO_TIMER takes it out."""
    store.acquire(Head(), None)
    for sequence, timers in enumerate(([("a", 10), ("b", 20)], [("a", 30)], [("b", NO_TIMER)]), start=1):
        before = store.head()
        assert before is not None
        store.begin(before)
        store.commit(write(Head(sequence=sequence), timers=timers))
    assert store.due(29, 10) == []
    assert store.due(30, 10) == ["a"]


def test_a_head_that_is_not_ours_stops_the_commit_before_it_begins(store: Store) -> None:
    """Another owner has taken the shard."""
    mine = Head(owner="me")
    store.acquire(mine, None)
    store.acquire(Head(owner="other"), mine)
    with pytest.raises(ShardLostError):
        store.begin(mine)


def test_a_shard_is_taken_only_from_the_head_that_was_read(store: Store) -> None:
    """Two workers that both read an empty shard cannot both take it."""
    store.acquire(Head(owner="one"), None)
    with pytest.raises(ShardLostError):
        store.acquire(Head(owner="two"), None)


def test_the_directory_fills_page_after_page(store: Store) -> None:
    """Pages hold the ids in the order they came, however many a commit brings."""
    store.acquire(Head(), None)
    ids = [f"c{number}" for number in range(2 * PAGE_CUSTOMERS + 10)]
    population = 0
    for count in (10, PAGE_CUSTOMERS, PAGE_CUSTOMERS):
        before = store.head()
        assert before is not None
        store.begin(before)
        born = ids[population : population + count]
        population += count
        store.commit(write(Head(sequence=before.sequence + 1, population=population), born=born))
    assert [customer for number in range(4) for customer in store.page(number)] == ids
    assert len(store.page(0)) == len(store.page(1)) == PAGE_CUSTOMERS


@pytest.mark.parametrize("count", [1, 60], ids=["few", "many"])
def test_who_is_erased_leaves_a_hole_and_who_comes_back_goes_to_the_end(store: Store, count: int) -> None:
    """Record and timer go, pages keep their size, every other customer its place."""
    ids = [f"c{number}" for number in range(PAGE_CUSTOMERS + 100)]
    store.acquire(Head(), None)
    store.begin(Head())
    first = Head(sequence=1, population=len(ids))
    store.commit(write(first, records=[(each, b"1") for each in ids], timers=[(each, 5) for each in ids], born=ids))
    gone = ids[3 : len(ids) : len(ids) // count][:count]
    places = store.places([*gone, "nobody"], first)
    assert places == {each: ids.index(each) for each in gone}
    store.begin(first)
    second = Head(sequence=2, population=len(ids) + 1, holes=count)
    back = [(gone[0], b"2")]
    timers = [(each, NO_TIMER) for each in gone]
    holes = sorted(places.values())
    store.commit(write(second, records=back, timers=timers, born=gone[:1], gone=gone[1:], holes=holes))
    expected = [HOLE if each in gone else each for each in ids]
    assert store.page(0) + store.page(1) == [*expected, gone[0]]
    assert store.load([*gone, ids[0]]) == [b"2", *[None] * (count - 1), b"1"]
    assert set(store.due(5, 10**6)) == set(ids) - set(gone)
    assert store.places(gone[:1], second) == {gone[0]: len(ids)}
    assert store.torn(second) is None


def test_what_stays_of_erased_customers_is_found_by_name_and_by_time(store: Store) -> None:
    """Replaced, let go of, and cleared away with the rest."""
    one, two, three = (Erasure(at_us, at_us + 1, 7, 3) for at_us in (30, -10, 20))
    store.acquire(Head(), None)
    store.begin(Head())
    store.commit(write(Head(sequence=1), erased=[(b"\x00a", one), (b"b", two), (b"c", three)]))
    assert store.erased([b"c", b"x", b"\x00a"]) == [three, None, one]
    assert store.oldest_erased(2) == [(b"b", two), (b"c", three)]
    store.begin(Head(sequence=1))
    store.commit(write(Head(sequence=2), erased=[(b"b", None), (b"x", None), (b"c", one)]))
    assert store.oldest_erased(9) == [(b"\x00a", one), (b"c", one)]
    assert store.erased([]) == []
    store.wipe()
    assert store.oldest_erased(9) == []


@pytest.mark.redis
def test_a_head_changed_by_another_during_a_commit_fails_the_commit(redis_db: str) -> None:
    """The zombie's EXEC does nothing: neither record nor head is its own."""
    connected = client(Redis(url=redis_db))
    zombie, other = (RedisStore(OneServer(connected), Keys("zombie", 0)) for _ in range(2))
    mine = Head(owner="zombie")
    zombie.acquire(mine, None)
    zombie.begin(mine)
    other.acquire(Head(owner="other"), mine)
    with pytest.raises(ShardLostError):
        zombie.commit(write(Head(owner="zombie", sequence=1), records=[("a", b"1")]))
    assert other.load(["a"]) == [None]
    zombie.close()
    other.close()
    connected.close()


@pytest.mark.redis
def test_a_redis_that_lost_something_is_told_apart_from_one_that_another_has_taken(redis_db: str) -> None:
    """An older head or none: nobody else has the shard, so it may be taken again at once."""
    connected = client(Redis(url=redis_db))
    store = RedisStore(OneServer(connected), Keys("rolled", 0))
    for stored, rolled_back in ((None, True), (Head(owner="me", sequence=4), True), (Head(sequence=5), False)):
        connected.delete(Keys("rolled", 0).head)
        if stored is not None:
            store.acquire(stored, None)
        with pytest.raises(ShardLostError) as error:
            store.begin(Head(owner="me", sequence=5))
        assert isinstance(error.value, RolledBackError) == rolled_back
    store.close()
    connected.close()


moves = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdeü"), st.integers(-5, 30) | st.just(NO_TIMER)), max_size=5), max_size=8
)


@pytest.mark.redis
@given(commits=moves, until=st.integers(-6, 31), limit=st.integers(1, 4))
@trials(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_redis_find_the_same_timers_due_in_the_same_order(
    redis_db: str, commits: list[list[tuple[str, int]]], until: int, limit: int
) -> None:
    """A journal written over one store can be re-executed over the other."""
    connected = client(Redis(url=redis_db))
    stores: list[Store] = [MemoryStore(), RedisStore(OneServer(connected), Keys("timers", 0))]
    found = []
    for each in stores:
        each.wipe()
        each.acquire(Head(), None)
        for sequence, timers in enumerate(commits, start=1):
            before = each.head()
            assert before is not None
            each.begin(before)
            each.commit(write(Head(sequence=sequence), timers=list(dict(timers).items())))
        found.append(each.due(until, limit))
        each.close()
    connected.close()
    assert found[0] == found[1]


def test_the_ledger_of_who_became_whom_is_read_both_ways(store: Store) -> None:
    """By id and by whom it became; what ends is gone from both; clearing forgets all of it."""
    store.acquire(Head(), None)
    store.begin(Head())
    store.commit(
        write(
            Head(sequence=1),
            ledger=[
                LedgerEntry("a", "c", holds=True),
                LedgerEntry("ü", "c", holds=True),
                LedgerEntry("c", "d", holds=True),
            ],
        )
    )
    assert store.merged_into(["a", "b", "ü", "c"]) == ["c", None, "c", "d"]
    assert (store.merged_from("c"), store.merged_from("d"), store.merged_from("a")) == (["a", "ü"], ["c"], [])
    store.begin(Head(sequence=1))
    store.commit(
        write(
            Head(sequence=2),
            ledger=[
                LedgerEntry("a", "c", holds=False),
                LedgerEntry("c", "d", holds=False),
                LedgerEntry("c", "e", holds=True),
            ],
        )
    )
    assert store.merged_into(["a", "c"]) == [None, "e"]
    assert (store.merged_from("c"), store.merged_from("d"), store.merged_from("e")) == (["ü"], [], ["c"])
    assert store.merged_into([]) == []
    store.clear(Head(partial=True), Head(sequence=2))
    assert (store.merged_into(["c"]), store.merged_from("e")) == ([None], [])


@pytest.mark.redis
def test_a_head_from_before_it_had_a_field_is_the_same_head(redis_db: str) -> None:
    """The worker that takes the shard writes it anew; another head is another still."""
    with client(Redis(url=redis_db)) as connected:
        keys = Keys("x", 0)
        store = RedisStore(OneServer(connected), keys)
        connected.set(keys.head, b'{"owner":"old","sequence":3,"rules":0}')
        old = store.head()
        assert old == Head(owner="old", sequence=3)
        with pytest.raises(ShardLostError):
            store.acquire(Head(owner="me", sequence=3), Head(owner="other", sequence=3))
        store.acquire(Head(owner="me", sequence=3), old)
        assert store.head() == Head(owner="me", sequence=3)
        store.close()


@pytest.mark.redis
def test_a_look_at_a_few_keys_shows_what_is_torn(redis_db: str) -> None:
    """Customers without a head, and a head without its first or last page, are told; a whole state is not."""
    with client(Redis(url=redis_db)) as connected:
        keys = Keys("a[b]*", 3)  # a prefix that a pattern would read otherwise
        store = RedisStore(OneServer(connected), keys)
        store.wipe()
        assert store.torn(None) is None
        head = Head(sequence=1, population=1030)
        ids = [f"c{number}" for number in range(1030)]
        store.acquire(Head(), None)
        store.begin(Head())
        store.commit(write(head, records=[(each, b"1") for each in ids], born=ids))
        assert store.torn(head) is None
        for page in (0, 2):
            held = connected.lrange(keys.page(page), 0, -1)
            connected.unlink(keys.page(page))
            assert "lacks part of its customers' directory" in (store.torn(head) or "")
            connected.rpush(keys.page(page), *held)
        connected.unlink(keys.head)
        assert "has customers and no head" in (store.torn(None) or "")
        connected.set("abc:{3}:head", b"another's")
        store.wipe()
        assert connected.keys() == [b"abc:{3}:head"]
        store.close()
