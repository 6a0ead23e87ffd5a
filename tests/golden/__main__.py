"""Records a journal of this release: `python -m tests.golden`. Starts Kafka, Redis and workers of its own.

A file that is there already is never written anew: what it holds must give the same for ever, or ENGINE must rise.
"""

import random
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from segflow.embedded.kafka import ApacheKafka
from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import started
from segflow.engine.commit.engine_version import ENGINE
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import READ
from tests.support.events import event
from tests.support.golden_journal import FOLDER, RAW
from tests.support.service import Service
from tests.support.until import until

SHARDS: Final = 2
EVENTS: Final = 240
SETTINGS: Final[dict[str, Any]] = {
    "dimensions": ["lifecycle", "rfm", "engagement", "value", "churn", "clv", "payment"],
    "rfm": {"cuts": "quantile"},
    "clock": "event",
    "recut": {"every": "60d", "min_population": 10},
    "worker": {"record_max_bytes": 400, "batch_max_records": 40},
}
"""Every kind of step: re-cuts, a record that is too large, more commits than one."""


def history() -> list[list[dict[str, Any] | bytes]]:
    """Events of 30 customers in three parts, with repeats, merges, an erase and records that cannot be used."""
    dice = random.Random(16)
    log: list[dict[str, Any] | bytes] = []
    for number in range(EVENTS):
        customer = f"c{dice.randrange(30)}"
        days = number * 1.5 + dice.random()
        kind = dice.choice(["purchase", "purchase", "purchase", "interaction", "payment", "refund", "profile"])
        fields: dict[str, dict[str, Any]] = {
            "purchase": {"order_id": f"o{number}", "amount": f"{dice.randrange(5, 300)}.50"},
            "refund": {"order_id": f"o{number - dice.randrange(9)}", "amount": "5.00", "full": dice.random() < 0.5},
            "interaction": {"kind": dice.choice(["visit", "cart", "review"])},
            "payment": {"invoice_id": f"i{number % 20}", "due_at": "2024-09-01T00:00:00Z", "amount": "9.00"},
            "profile": {"attributes": {"country": dice.choice(["DE", "FR"]), "list": [1]}},
        }
        log.append(event(number, days, kind, customer) | fields[kind])
    log += [
        log[5],
        log[77],
        b"no json",
        event(899, 399, "Purchase", "c2"),
        event(900, 400, "interaction", "c2") | {"kind": "visit", "channel": "x" * 400},
    ]
    log += [event(901 + each, 401 + each, "alias", f"c{each}", previous_id=f"c{each + 10}") for each in range(4)]
    log += [
        event(940, 50, "purchase", "c1"),
        event(950, 410, "erase", "c7"),
        event(951, 411, "purchase", "c12"),
        event(952, 420, "purchase", "c7"),
    ]
    return [log[:120], log[120:200], log[200:]]


def record(folder: Path, service: Service) -> Path:
    """Let workers do the history, the last part under another definition, and keep all that they read and wrote."""
    first, second, third = history()
    with service.worker():
        for part in (first, second):
            service.send(part)
            _worked(service)
    service.content["lifecycle"] = {"at_risk_after": "45d"}
    service.file.write_text(yaml.safe_dump(service.content))
    with service.worker():
        service.send(third)
        _worked(service)
    content = {name: part for name, part in service.content.items() if name != "redis"}
    content["kafka"] = {"topics": content["kafka"]["topics"]}
    shards: list[dict[str, list[list[Any]]]] = [{role: [] for role in ("journal", *READ)} for _ in range(SHARDS)]
    for role in READ:
        for each in service.read(role):
            shards[each.partition][role].append([each.offset, _text(each.key), _text(each.value)])
    for each in service.read("journal"):
        shards[each.partition]["journal"].append([each.offset, _text(each.value)])
    found = {
        "settings": content,
        "topic_ids": topics.check(service.settings).input_ids,
        "control": [[each.offset, each.timestamp, _text(each.value)] for each in service.read("control")],
        "shards": shards,
    }
    file = folder / f"engine-{ENGINE}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    return file


def _text(content: bytes | None) -> str | None:
    return None if content is None else content.decode(RAW)


def _worked(service: Service) -> None:
    """Until the workers have read all there is, and have nothing left to do."""

    def done() -> bool:
        entries = service.journal()
        ends = {(role, each.partition): each.offset + 1 for role in READ for each in service.read(role)}
        reached = {(role, each["partition"]): each["plan"][f"{role}_to"] for each in entries for role in READ}
        return all(reached.get(place, 0) >= end for place, end in ends.items())

    until(done, "the inputs are not read to their end")
    service.leaves_nothing_due()


def main() -> None:
    """The command."""
    if (FOLDER / f"engine-{ENGINE}.json").exists():
        raise SystemExit(f"tests/golden/engine-{ENGINE}.json is there: what commits give has changed, so raise ENGINE")
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(started(ApacheKafka())) as kafka,
        closing(started(RedisServer())) as redis,
    ):
        file = record(FOLDER, Service(Path(folder), kafka.address, redis.url, "golden-", SHARDS, **SETTINGS))
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
