"""Faults 1 and 9: a worker killed at every step of a commit, and of taking a shard."""

import pytest

from segflow.streams.runtime.failpoints import ACQUIRE, COMMIT
from tests.faults.installation import Make
from tests.faults.stream import Stream

COPIED = ("acquire:one-copied", "acquire:recovered")
"""The points from which on Redis has what it lacked."""

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.mark.parametrize("point", COMMIT)
def test_a_worker_killed_at_any_step_of_a_commit_loses_and_repeats_nothing(
    point: str, installation: Make, seed: int
) -> None:
    """Killed at its third commit, with records still coming; the next worker goes on, and the oracle agrees."""
    installed = installation()
    stream = Stream(seed)
    installed.put(stream.take(300))
    with installed.worker(crash_at=f"{point}:3") as first:
        first.is_killed()
    installed.put(stream.take(100))
    with installed.worker() as second:
        found = installed.comes_out_right()
        second.stop()
    assert found.events == 400
    assert found.changes > 100


def test_a_shard_that_is_taken_anew_reads_again_what_it_had_read_ahead(installation: Make, seed: int) -> None:
    """Several fetches ahead when its commit fails, so that the next fetch ends before what was read already."""
    installed = installation(partitions=1, worker={"batch_max_records": 4000})
    installed.put(Stream(seed, customers=2000, step_hours=0.1).take(25_000))
    with installed.worker(crash_at="commit:prepared:2:raise") as worker:
        found = installed.comes_out_right()
        worker.stop()
    assert "the reply at commit:prepared was lost" in worker.said()
    assert found.events == 25_000


def test_a_worker_killed_at_every_step_of_taking_a_shard_loses_and_repeats_nothing(
    installation: Make, seed: int
) -> None:
    """One worker leaves a commit that Redis lacks; the next are killed, each a step further in taking the shard."""
    installed = installation(partitions=1)
    stream = Stream(seed)
    installed.put(stream.take(200))
    with installed.worker(crash_at="commit:published:2") as first:
        first.is_killed()
    for point in ACQUIRE:
        with installed.worker(crash_at=f"{point}:1") as each:
            each.is_killed()
        if point in COPIED:  # that commit is in Redis now: another one for those that follow
            installed.put(stream.take(20))  # all before it may have been in commits already
            with installed.worker(crash_at="commit:published:1") as again:
                again.is_killed()
    installed.put(stream.take(50))
    with installed.worker() as last:
        found = installed.comes_out_right()
        last.stop()
    assert found.events == 250 + 20 * len(COPIED)
