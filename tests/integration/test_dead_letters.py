"""`segflow dead-letters` on a real broker: what it shows, and that a replay sends each record once."""

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from segflow.embedded.kafka import ApacheKafka
from segflow.engine.columns.messages import Message, Messages
from segflow.engine.encode.dead_letters import REPLAYED
from segflow.engine.partitioner import partition_of
from segflow.operations.dead_letters.letters import Letter, Wanted
from segflow.operations.dead_letters.replay import Replay
from segflow.schemas.change import DeadLetter
from segflow.streams.kafka import topics
from segflow.streams.publish.publisher import Publisher
from segflow.streams.publish.record_batch import batches
from segflow.streams.publish.transactional_producer import TransactionalProducer
from tests.support.command import Result, segflow
from tests.support.service import Service
from tests.support.until import until

pytestmark = pytest.mark.kafka
PARTITIONS = 2
EVENT = b'{"type": "visit", "customer_id": "c1"}'


@pytest.fixture
def service(kafka: ApacheKafka, unique_prefix: str, tmp_path: Path) -> Service:
    """An installation on which no worker runs."""
    return Service(tmp_path, kafka.address, "redis://127.0.0.1:1/0", unique_prefix, PARTITIONS)


def letter(service: Service, offset: int, **fields: Any) -> Message:
    """A dead letter as a worker writes it."""
    names = service.settings.kafka.topics
    base: dict[str, Any] = {
        "kind": "bad_field",
        "topic": names.purchases,
        "partition": 0,
        "key": b"c1",
        "value": EVENT,
    }
    fields = base | {"reason": f"reason {offset}", "offset": offset} | fields
    content = DeadLetter.model_validate(
        fields | {name: each and _base64(each) for name, each in fields.items() if name in ("key", "value")}
    )
    headers = [("reason", content.kind.encode()), ("topic", content.topic.encode())]
    return Message(fields["key"] or b"", content.model_dump_json().encode(), headers)


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


def publish(service: Service, messages: list[Message], partition: int = 0) -> None:
    """In one transaction, as a worker does."""

    async def run() -> None:
        publisher = Publisher(service.settings, partition)
        await publisher.start()
        await publisher.publish({service.settings.kafka.topics.dead_letters: Messages.of(messages)})
        await publisher.close()

    asyncio.run(run())


def dead_letters(service: Service, *arguments: str) -> Result:
    """The command."""
    return segflow("dead-letters", *arguments, "--settings", service.file)


def listed(service: Service, *arguments: str) -> list[dict[str, Any]]:
    """What it lists."""
    result = dead_letters(service, *arguments, "--json")
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def replayed(service: Service, *arguments: str) -> dict[str, Any]:
    """What a replay came to."""
    found: dict[str, Any] = json.loads(dead_letters(service, "--replay", "--json", *arguments).out)
    return found


def test_they_are_listed_filtered_and_counted(service: Service) -> None:
    """By kind, place, customer and time; the count has the latest of each kind."""
    interactions = service.settings.kafka.topics.interactions
    publish(service, [letter(service, 1), letter(service, 2, kind="not_json", value=b"{", key=b"c2")])
    other = letter(service, 3, topic=interactions, partition=1, key=b"elsewhere")
    publish(service, [other, Message(b"x", b"garbage")], partition=1)
    assert sorted(each["offset"] for each in listed(service)) == [1, 2, 3]
    asked = {
        ("--reason", "not_json", "--reason", "future"): [2],
        ("--topic", "interactions", "--partition", "1", "--customer", "c1", "--since", "1h"): [3],
        (f"{service.settings.kafka.topics.purchases}/0/2", "--until", "2999-01-01T00:00:00Z"): [2],
        ("--until", "1h"): [],
    }
    assert {each: sorted(row["offset"] for row in listed(service, *each)) for each in asked} == asked
    assert len(listed(service, "--limit", "1")) == 1
    line = dead_letters(service, "--reason", "not_json").out
    assert line.split()[1:5] == [f"{service.settings.kafka.topics.purchases}/0/2", "not_json", "c2", "reason"]
    counts = json.loads(dead_letters(service, "--count", "--json").out)
    assert {kind: each["count"] for kind, each in counts.items()} == {"bad_field": 2, "not_json": 1}
    assert counts["not_json"]["latest_reason"] == "reason 2"
    assert "bad_field" in dead_letters(service, "--count").out
    none = dead_letters(service, "--reason", "none_such")
    assert (none.code, none.out) == (0, "")
    assert "--count` says which there are" in none.err


def test_a_raw_record_is_readable_and_nothing_in_it_is_obeyed(service: Service) -> None:
    """Text as text, with escapes neutralised; what is no text in hex with offsets, and what it looks like."""
    publish(
        service, [letter(service, 1, value=b'{"a":\n "\x1b[2J\xc2\x9b"}'), letter(service, 2, value=b"\x00\xff" * 9)]
    )
    text = dead_letters(service, f"{service.settings.kafka.topics.purchases}/0/1", "--raw").out
    assert '    {"a":\n     "\\x1b[2J\\x9b"}\n' in text
    binary = dead_letters(service, f"{service.settings.kafka.topics.purchases}/0/2", "--raw").out
    assert "    00000000  00 ff 00 ff 00 ff 00 ff 00 ff 00 ff 00 ff 00 ff  |................|\n" in binary
    assert "    00000010  00 ff                                            |..|\n" in binary
    assert "(this looks like Avro, Protobuf or JSON under a schema registry)" in binary
    rows = {each["offset"]: each for each in listed(service, "--raw")}
    assert rows[2]["value_text"] is None
    assert rows[1]["value_text"].startswith('{"a":')


def test_a_replay_sends_each_record_once_to_where_its_key_belongs(service: Service) -> None:
    """Typed again it sends nothing; the record says which dead letter it comes of; the list says it was sent."""
    names = service.settings.kafka.topics
    right = partition_of(b"c1", "murmur2", PARTITIONS)
    misplaced = letter(service, 5, kind="wrong_partition", partition=1 - right)
    publish(service, [letter(service, 9, key=b"c2", kind="future"), misplaced], partition=1 - right)
    assert replayed(service, "--reason", "wrong_partition") == {"sent": 1, "sent_before": 0, "refused": []}
    assert replayed(service) == {"sent": 1, "sent_before": 1, "refused": []}
    assert replayed(service) == {"sent": 0, "sent_before": 2, "refused": []}
    records = service.read("purchases")
    assert {(each.key, each.value, each.partition) for each in records} == {
        (b"c1", EVENT, right),
        (b"c2", EVENT, partition_of(b"c2", "murmur2", PARTITIONS)),
    }
    assert len(records) == 2
    (header,) = next(each for each in records if each.key == b"c1").headers
    assert header == (REPLAYED, f"{names.dead_letters}/{1 - right}/1".encode())
    assert [each["replayed"] for each in listed(service)] == [True, True]
    assert dead_letters(service).out.count("[sent again]") == 2
    assert json.loads(dead_letters(service, "--count", "--json").out)["future"]["replayed"] == 1


def test_what_has_nothing_to_send_is_said_with_the_reason(service: Service) -> None:
    """A cut one is read from the input, as long as it is there; the others are named, and the exit code is 1."""
    service.send([b'{"whole": true}'])
    topic = service.settings.kafka.topics.purchases
    publish(
        service,
        [
            letter(service, 0, kind="oversized", value=b'{"whole"', cut=True),
            letter(service, 77, kind="oversized", value=b"{", cut=True),
            letter(service, 78, kind="tombstone", value=None),
            letter(service, 79, kind="key_mismatch", key=None),
        ],
    )
    result = dead_letters(service, "--replay")
    assert result.code == 1
    assert result.out == "1 sent again; 0 had been sent before\n"
    for offset, why in ((77, "no longer has the record"), (78, "no value"), (79, "no key")):
        assert any(
            f"{topic}/0/{offset} cannot be sent again" in line and why in line for line in result.err.splitlines()
        )
    assert [each.value for each in service.read("purchases")] == [b'{"whole": true}'] * 2


def test_a_replay_that_dies_before_its_commit_has_sent_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its transaction is aborted by the next, which sends each once."""
    publish(service, [letter(service, 1), letter(service, 2)])

    async def lost(_: TransactionalProducer) -> None:
        raise KafkaError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(TransactionalProducer, "end", lost)
        assert dead_letters(service, "--replay").code == 2
    assert replayed(service) == {"sent": 2, "sent_before": 0, "refused": []}
    assert len(service.read("purchases")) == 2


def test_of_two_replays_at_once_one_sends(service: Service) -> None:
    """The later fences the earlier, which stops with nothing sent."""
    publish(service, [letter(service, 1)])

    async def both() -> int:
        async with Replay(service.settings, PARTITIONS) as first, Replay(service.settings, PARTITIONS) as second:
            with pytest.raises(ProducerFenced):
                await first.run(Wanted())
            return (await second.run(Wanted())).sent

    assert asyncio.run(both()) == 1
    assert len(service.read("purchases")) == 1


def test_a_mark_behind_an_open_transaction_counts(service: Service) -> None:
    """A worker's open transaction hides what stands behind it from readers: a replay waits for its end."""
    publish(service, [letter(service, 1)])
    place = TopicPartition(service.settings.kafka.topics.dead_letters, 0)
    mark = Message(b"c1", b"", [(REPLAYED, b"0")])

    async def run() -> tuple[int, int]:
        other = TransactionalProducer(service.settings.kafka, f"{service.settings.kafka.group}-open", 10_000)
        await other.start([place.topic])
        filled = {place: batches(Messages.of([letter(service, 2)]), 0, transactional=True)}
        await other.begin(filled)
        await other.send(filled)
        publisher = Publisher(service.settings, 0)
        await publisher.start()
        await publisher.publish({place.topic: Messages.of([mark])})
        await publisher.close()
        async with Replay(service.settings, PARTITIONS) as replay:
            running = asyncio.create_task(replay.run(Wanted(offset=1)))
            done, _ = await asyncio.wait([running], timeout=1)
            assert not done
            await other.end()
            await other.close()
            outcome = await running
        return outcome.sent, outcome.before

    assert asyncio.run(run()) == (0, 1)


def test_what_comes_back_during_a_replay_is_not_sent_again_by_it(service: Service) -> None:
    """A record that never can be used would go round and round for as long as its workers are quick."""

    class WithAQuickWorker(Replay):
        async def _send(self, partition: int, batch: list[tuple[Letter, bytes, bytes]]) -> None:
            await super()._send(partition, batch)
            if partition == 0:
                await asyncio.to_thread(publish, service, [letter(service, 2, partition=1)], 1)

    async def replay() -> int:
        async with WithAQuickWorker(service.settings, PARTITIONS) as running:
            return (await running.run(Wanted())).sent

    publish(service, [letter(service, 1)])
    assert asyncio.run(replay()) == 1
    assert [(each["offset"], each["replayed"]) for each in listed(service)] == [(1, True), (2, False)]


def test_after_partitions_were_added_they_are_listed_and_not_replayed(service: Service) -> None:
    """That is when most is to be looked at; sent again, records would go to partitions that no shard has."""
    publish(service, [letter(service, 1, kind="wrong_partition")])
    names = service.settings.kafka.topics
    with topics.admin(service.settings.kafka) as admin:
        admin.create_partitions({names.purchases: PARTITIONS + 1, names.interactions: PARTITIONS + 1})
    until(lambda: topics.check(service.settings).partitions == PARTITIONS + 1, "no partitions were added")
    assert [each["kind"] for each in listed(service)] == ["wrong_partition"]
    result = dead_letters(service, "--replay")
    assert result.code == 2
    assert f"{names.dead_letters} has {PARTITIONS} partitions, but must have {PARTITIONS + 1} partitions" in result.err
