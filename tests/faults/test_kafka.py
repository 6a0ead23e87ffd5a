"""Faults 10 and 15: a broker that dies, halts or answers too late; inputs with gaps, cut, or made anew."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import OffsetOutOfRangeError
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from segflow.state.head import encode
from segflow.state.keys import Keys
from segflow.state.redis_connection import client
from segflow.streams.journal.input_reader import InputReader
from segflow.streams.kafka.topic_kinds import READ
from segflow.streams.kafka.topics import admin
from segflow.streams.shard.commit_loop import STANDS_S
from tests.faults.installation import Installation, Make
from tests.faults.stream import Stream
from tests.faults.upstream import in_transactions
from tests.support.command import segflow
from tests.support.health import Health
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import END_TXN, INIT_PRODUCER_ID, kafka_request
from tests.support.until import until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


def test_a_broker_killed_in_mid_stream_and_back_again_loses_and_repeats_nothing(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """SIGKILL, with a transaction open as likely as not; it comes back, and the same worker goes on."""
    installed = installation()
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(150))
        installed.commits_more(1)
        hurt_kafka.kill()
        hurt_kafka.start()
        installed.put(stream.take(150))
        found = installed.comes_out_right()
        assert worker.process.poll() is None, worker.said()
        worker.stop()
    assert found.events == 300


def test_a_broker_that_answers_nobody_for_longer_than_a_session_changes_nothing(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """Every connection of the worker stays open and silent beyond its session; then it flows again."""
    installed = installation(proxied=True)
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(150))
        installed.settles()
        hurt_kafka.wire.silence()
        try:
            installed.put(stream.take(100))
            installed.has_members(0)  # the coordinator gives the worker up
        finally:
            hurt_kafka.wire.resume()
        found = installed.comes_out_right()
        assert worker.process.poll() is None, worker.said()
        worker.stop()
    assert found.events == 250


@pytest.mark.parametrize("api_key", [END_TXN, INIT_PRODUCER_ID], ids=["end of transaction", "start of producer"])
def test_a_coordinator_whose_reply_was_lost_is_asked_again(
    api_key: int, installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """The transaction is committed, or the producer started, and the worker does not hear of it."""
    installed = installation(proxied=True, partitions=1)
    stream = Stream(seed)
    before = hurt_kafka.wire.dropped
    if api_key == INIT_PRODUCER_ID:
        hurt_kafka.wire.drop_reply_to(kafka_request(api_key))
    with installed.worker() as worker:
        installed.put(stream.take(100))
        installed.settles()
        if api_key == END_TXN:
            hurt_kafka.wire.drop_reply_to(kafka_request(api_key))
        installed.put(stream.take(100))
        until(lambda: hurt_kafka.wire.dropped == before + 1, "no reply was dropped")
        found = installed.comes_out_right()
        worker.stop()
    assert found.events == 200


def test_a_slow_coordinator_delays_commits_and_nothing_else(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """Each reply to the worker takes a tenth of a second, the end of one transaction longer than its timeout."""
    installed = installation(proxied=True, partitions=1)
    stream = Stream(seed)
    with installed.worker() as worker:
        installed.put(stream.take(50))
        installed.settles()
        before = hurt_kafka.wire.delayed
        hurt_kafka.wire.delay_s = 0.1
        try:
            hurt_kafka.wire.delay_reply_to(kafka_request(END_TXN), delay_s=4)
            installed.put(stream.take(50))
            found = installed.comes_out_right()
        finally:
            hurt_kafka.wire.delay_s = 0.0
        assert hurt_kafka.wire.delayed > before
        worker.stop()
    assert found.events == 100


def test_aborted_records_at_the_end_of_an_input_are_no_lag(installation: Make, seed: int) -> None:
    """Nothing that counts is left to read, and no gauge, no monitor of the group and no doctor says otherwise."""
    health = Health.at_free_port()
    installed = installation(partitions=1)
    records = [each for each in Stream(seed).take(200) if each.role == "purchases"]
    with installed.worker(http_port=health.port) as worker:
        installed.put(records[:20])
        installed.settles()
        asyncio.run(in_transactions(installed, records[20:25], committed=0))
        names = [getattr(installed.settings.kafka.topics, role) for role in READ]
        places = [TopicPartition(name, 0) for name in names]
        with admin(installed.settings.kafka) as kafka:
            group = installed.settings.kafka.group

            def told() -> dict[TopicPartition, int]:
                return {place: found.offset for place, found in kafka.list_group_offsets(group)[group].items()}

            found = kafka.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
            ends = {place: each.offset for place, each in found.items()}
            until(lambda: told() == ends, lambda: f"{told()} of {ends}")  # comes after 5 s
        until(lambda: set(lags(health).values()) == {0.0}, lambda: str(lags(health)))
        assert len(lags(health)) == len(READ)
        result = segflow("doctor", "--settings", installed.file)
        assert "0 records behind" in result.out, result.out
        installed.put(records[25:])
        installed.comes_out_right()
        worker.stop()


def lags(health: Health) -> dict[tuple[str, ...], float]:
    """By shard and input: records that are not in the state yet."""
    return health.metrics().get("segflow_lag_records", {})


def test_commits_that_stand_make_a_worker_unready_and_say_what_they_stand_for(
    installation: Make, hurt_kafka: ProxiedKafka, seed: int
) -> None:
    """A commit is answered late, and then a topic is gone: the shard is acquired all the time, and nothing gets out."""
    health = Health.at_free_port()
    installed = installation(proxied=True, partitions=1)
    stream = Stream(seed)

    why = "shard 0 has something to commit, and nothing was for"

    def said() -> str:
        return str(health.verdict("ready"))

    def stands(reason: str) -> None:
        stop = STANDS_S + 15
        until(lambda: all(each in said() for each in (why, reason)), said, stop)
        assert health.metrics()["segflow_uncommitted_seconds"]["0",] >= STANDS_S

    with installed.worker(http_port=health.port) as worker:
        installed.put(stream.take(50))
        installed.settles()
        until(health.is_ready, "not ready")
        hurt_kafka.wire.delay_reply_to(kafka_request(END_TXN), delay_s=STANDS_S + 3)
        installed.put(stream.take(50))
        stands("")
        until(health.is_ready, "not ready again")
        installed.comes_out_right()
        until(lambda: health.metrics()["segflow_uncommitted_seconds"]["0",] == 0, "it goes on standing")
        deleted = installed.delete("changes")
        installed.put(stream.take(50))
        stands(f": {deleted}, partition 0")
        worker.says(f"s: {deleted}, partition 0")
        worker.stop()


def test_a_dead_workers_open_transaction_does_not_hold_subscribers_up(installation: Make, seed: int) -> None:
    """Killed with a transaction open and nobody to follow it, a later record of another producer is soon read."""
    installed = installation(partitions=1)
    installed.put(Stream(seed).take(100))
    with installed.worker(crash_at="commit:produced:2") as worker:
        worker.is_killed()
    before = len(installed.read("changes"))
    asyncio.run(another_record(installed))
    found = installed.read("changes", lambda records: any(each.key == b"another" for each in records))
    assert len(found) == before + 1, "what the open transaction had produced came out"


async def another_record(installed: Installation) -> None:
    """A record of somebody else on the changes' topic."""
    producer = AIOKafkaProducer(bootstrap_servers=installed.direct)
    await producer.start()
    await producer.send_and_wait(installed.settings.kafka.topics.changes, key=b"another", value=b"{}", partition=0)
    await producer.stop()


def test_gaps_in_the_inputs_offsets_are_no_gaps_in_the_outcome(installation: Make, seed: int) -> None:
    """Aborted transactions and markers between the records, a kill, and a commit replayed across them."""
    installed = installation(worker={"batch_max_records": 5})
    stream = Stream(seed)
    with installed.worker(crash_at="commit:published:4") as first:
        kept = asyncio.run(in_transactions(installed, stream.take(120)))
        first.is_killed()
    with installed.worker() as second:
        found = installed.comes_out_right()
        second.stop()
    assert found.events == kept


def test_an_input_cut_by_retention_beyond_the_state_stops_the_worker(installation: Make, seed: int) -> None:
    """What was not read yet is gone: exit code 2, both offsets, and nothing is skipped in silence."""
    installed = installation(partitions=1)
    stream = Stream(seed)
    with installed.worker() as first:
        installed.put(stream.take(50))
        installed.settles()
        first.stop()
    head = installed.heads()[0]
    assert head is not None
    installed.put(stream.take(100))
    cut = head.purchases.offset + 10
    installed.cut_by_retention("purchases", 0, cut)
    with installed.worker() as second:
        assert second.ends() == 2
        assert f"cut to offset {cut} by retention; the state needs {head.purchases.offset}" in second.said()
        assert "Traceback" not in second.said()


def test_an_input_cut_by_retention_under_a_halted_worker_stops_it(installation: Make, seed: int) -> None:
    """As above, met by a running consumer: it does not read on from wherever the topic now begins."""
    installed = installation(partitions=1, worker={"batch_max_records": 5})
    stream = Stream(seed)
    with installed.worker(crash_at="commit:prepared:1:stop") as worker:
        installed.put(stream.take(20))
        worker.is_stopped()
        records = stream.take(2000)
        installed.put(records)
        installed.cut_by_retention("purchases", 0, sum(each.role == "purchases" for each in records))
        worker.resume()
        assert worker.ends() == 2
        assert "by retention" in worker.said()
        assert "Traceback" not in worker.said()


def test_a_range_that_retention_cuts_before_it_is_read_again_is_an_error(installation: Make, seed: int) -> None:
    """Whoever executes a commit again gets all of its records or none: no leap to the topic's end."""
    installed = installation(partitions=1)
    installed.put(Stream(seed).take(100))
    installed.cut_by_retention("purchases", 0, 10)

    async def read() -> int:
        async with InputReader(installed.settings, 0) as reader:
            assert len(await reader.read(0, 10, 20)) == 10
            return len(await reader.read(0, 5, 20))

    with pytest.raises(OffsetOutOfRangeError):
        asyncio.run(read())


@pytest.mark.parametrize("role", ["purchases", "interactions"])
def test_an_input_made_anew_while_nobody_read_stops_the_worker(role: str, installation: Make, seed: int) -> None:
    """Its name and even its offsets may fit; its id does not: exit code 2, and the topic named."""
    installed = installation(partitions=1)
    stream = Stream(seed)
    with installed.worker() as first:
        installed.put(stream.take(100))
        installed.settles()
        first.stop()
    installed.make_anew(role)
    installed.put(stream.take(300))
    with installed.worker() as second:
        assert second.ends() == 2
        assert f"{role} was deleted and made again" in second.said()
        assert "Traceback" not in second.said()


def test_an_input_made_anew_under_a_running_worker_stops_it(installation: Make, seed: int) -> None:
    """Its offsets go on where the old one's stopped: one process ends, the next says why, and the supervisor ends."""
    installed = installation(partitions=1)
    stream = Stream(seed)
    with installed.worker(processes=2) as worker:
        installed.put(stream.take(40))
        installed.settles()
        installed.make_anew("purchases")
        installed.put(stream.take(300))
        assert worker.ends() == 2
        assert "was deleted and made again" in worker.said()
        assert "Traceback" not in worker.said()


def test_an_input_that_ends_before_the_states_offset_stops_the_worker(installation: Make, seed: int) -> None:
    """As after a broker lost the end of its log: exit code 2, and both offsets."""
    installed = installation(partitions=1)
    with installed.worker() as first:
        installed.put(Stream(seed).take(50))
        installed.settles()
        first.stop()
    head = installed.heads()[0]
    assert head is not None
    beyond = json.loads(encode(head))
    beyond["purchases"]["offset"] += 100
    with client(installed.settings.redis) as connected:
        connected.set(Keys(installed.settings.redis.prefix, 0).head, json.dumps(beyond, separators=(",", ":")))
    with installed.worker() as second:
        assert second.ends() == 2
        assert f"before the state's offset {head.purchases.offset + 100}" in second.said()
