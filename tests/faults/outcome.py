"""What must have come out: the inputs redone naively, by the oracle, in the commits the journal tells of."""

import json
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

import numpy as np

from segflow.schemas.duration import parse
from segflow.segments.instant import UNKNOWN
from segflow.state import record as codec
from segflow.state.keys import Keys
from segflow.state.layout import DIMENSION_SLOTS
from segflow.state.redis_connection import servers
from tests.faults.stream import BAD, INTERACTIONS, PURCHASES
from tests.oracle.simulation import Adopt, Event, OracleRules, Shard, Sweep
from tests.support.agreement import by_customer
from tests.support.population_cuts import under_cuts
from tests.support.service import Service

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What the comparison found."""

    events: int = 0  # input records
    changes: int = 0
    dead_letters: int = 0
    commits: int = 0
    lost: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # anything else that is not as it must be

    @property
    def right(self) -> bool:
        """Every change once, in order, and the state is the fold."""
        return not (self.lost or self.repeated or self.wrong)


def outcome_of(installed: Service, rules: OracleRules | None = None) -> Outcome:
    """Compare everything published, and the state in Redis, with the oracle over the input topics.

    Call it when everything has settled. Workers may be running, but with `clock: wall`, or with quantile cuts: their
    sweeps and re-cuts go on without events.
    """
    found = Outcome()
    inputs = {role: installed.read(role) for role in (PURCHASES, INTERACTIONS)}
    journal = installed.journal()
    versions = {each.offset: json.loads(each.value) for each in installed.read("control")}
    found.events, found.commits = sum(map(len, inputs.values())), len(journal)
    expected: list[dict[str, Any]] = []
    bad: list[tuple[str, int, int]] = []
    for number in range(installed.partitions):
        entries = sorted(
            (each for each in journal if each["partition"] == number), key=lambda each: each["plan"]["sequence"]
        )
        found.wrong += _gaps(number, entries)
        mine = {
            role: sorted((each for each in records if each.partition == number), key=lambda each: each.offset)
            for role, records in inputs.items()
        }
        oracle = Shard(rules or OracleRules())
        for entry in entries:
            if entry["adopts"] is not None:
                expected += oracle.step(_adopted(versions[entry["adopts"]], entry["adopts"]))
            expected += _commit(oracle, mine, entry)
        bad += [
            (each.topic, each.partition, each.offset) for each in mine[PURCHASES] + mine[INTERACTIONS] if _bad(each)
        ]
        found.wrong += _unlike_the_fold(installed, number, entries, oracle)
    published = [json.loads(each.value) for each in installed.read("changes")]
    _compare(found, expected, published)
    letters = [json.loads(each.value) for each in installed.read("dead_letters")]
    told = sorted((each["topic"], each["partition"], each["offset"]) for each in letters)
    if told != sorted(bad):
        found.wrong.append(f"dead letters: {len(told)} of {len(set(told))} records, expected {len(bad)}")
    found.changes, found.dead_letters = len(published), len(letters)
    return found


def reads_all(entries: list[dict[str, Any]], ends: dict[tuple[str, int], int]) -> bool:
    """Whether the journal's commits have read what every shard reads to `ends`."""
    read: dict[tuple[str, int], int] = defaultdict(int)
    for entry in entries:
        for role in (PURCHASES, INTERACTIONS, "handover"):
            place = (role, entry["partition"])
            read[place] = max(read[place], entry["plan"][f"{role}_to"])
    return all(read[place] >= end for place, end in ends.items())


def _bad(record: Any) -> bool:
    return record.value is None or BAD.encode() in record.value


def _gaps(number: int, entries: list[dict[str, Any]]) -> list[str]:
    """The journal's line of a shard: each commit once, and each goes on where the one before stopped."""
    wrong = []
    if [each["plan"]["sequence"] for each in entries] != list(range(1, len(entries) + 1)):
        wrong.append(f"shard {number}: the journal's commits are not 1, 2, 3 …")
    for role in (PURCHASES, INTERACTIONS):
        stops = [0] + [each["plan"][f"{role}_to"] for each in entries]
        starts = [each[f"{role}_from"] for each in entries]
        wrong += [
            f"shard {number}: commit {place + 1} reads {role} from {start}, the one before stopped at {stop}"
            for place, (start, stop) in enumerate(zip(starts, stops[:-1], strict=True))
            if start != stop
        ]
    return wrong


def _adopted(record: dict[str, Any], version: int) -> Adopt:
    """What a control record is to the oracle: new cuts, or a definition whose lifecycle is not the default one."""
    if record["kind"] == "definition":
        lifecycle = record["content"]["lifecycle"]
        rules = OracleRules(
            at_risk_after=parse(lifecycle["at_risk_after"]),
            churned_after=parse(lifecycle["churned_after"]),
            loyal_orders=lifecycle["loyal_orders"],
            definition=version,
        )
        return Adopt(rules, "definition")
    return Adopt(under_cuts(OracleRules(), version, record), "recut")


def _commit(oracle: Shard, records: dict[str, list[Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """One commit's records, the earlier head of the two inputs first, then its sweep."""
    heads = [
        [each for each in _between(records[role], entry[f"{role}_from"], entry["plan"][f"{role}_to"]) if not _bad(each)]
        for role in (INTERACTIONS, PURCHASES)
    ]
    changes: list[dict[str, Any]] = []
    queues = [[Event(json.loads(each.value, parse_float=Decimal)) for each in head] for head in heads]
    while any(queues):
        first = min((queue for queue in queues if queue), key=lambda queue: _moment(queue[0]))
        changes += oracle.step(first.pop(0))
    sweep_us = entry["plan"]["sweep_us"]
    changes += oracle.step(Sweep(None if sweep_us == UNKNOWN else EPOCH + timedelta(microseconds=sweep_us)))
    return changes


def _between(records: list[Any], start: int, stop: int) -> list[Any]:
    """The records of offsets [start, stop)."""
    first, beyond = (bisect_left(records, offset, key=lambda each: each.offset) for offset in (start, stop))
    return records[first:beyond]


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event.body["occurred_at"])


def _compare(found: Outcome, expected: list[dict[str, Any]], published: list[dict[str, Any]]) -> None:
    names = {(each["customer_id"], each["version"]) for each in published}
    wanted = {(each["customer_id"], each["version"]) for each in expected}
    found.lost = [f"{customer} version {version}" for customer, version in sorted(wanted - names)]
    found.wrong += [
        f"{customer} version {version}: nobody asked for it" for customer, version in sorted(names - wanted)
    ]
    seen: set[str] = set()
    for each in published:
        if each["change_id"] in seen:
            found.repeated.append(f"{each['customer_id']} version {each['version']}")
        seen.add(each["change_id"])
    theirs, mine = by_customer(expected), by_customer(published)
    if not (found.lost or found.repeated or found.wrong) and theirs != mine:
        differ = [each for each in theirs if theirs[each] != mine.get(each)]
        both = zip_longest(theirs[differ[0]], mine.get(differ[0], ()))
        pair = next((a, b) for a, b in both if a != b)
        found.wrong.append(f"{len(differ)} customers' changes differ from the oracle's, the first: {pair}")
    labels: dict[tuple[str, str], str | None] = {}
    for each in published:
        place = (each["customer_id"], each["dimension"])
        if place in labels and labels[place] != each["previous"]:
            found.wrong.append(f"{place}: the chain is broken at version {each['version']}")
        labels[place] = each["current"]


def _unlike_the_fold(installed: Service, number: int, entries: list[dict[str, Any]], oracle: Shard) -> list[str]:
    """How the shard's state in Redis is not the fold of its records."""
    head = installed.heads()[number]
    if head is None:
        return [f"shard {number} has no state in Redis"] if entries else []
    last = entries[-1]["plan"]
    wrong = []
    if (head.sequence, head.purchases.offset, head.interactions.offset) != (
        last["sequence"],
        last["purchases_to"],
        last["interactions_to"],
    ):
        wrong.append(f"shard {number}: Redis stands at {head}, the journal at {last}")
    ids = list(oracle.customers)
    keys = Keys(installed.settings.redis.prefix, number)
    with servers(installed.settings.redis) as there:
        values: Any = there.of(keys.head).mget([keys.record(each) for each in ids]) if ids else []
    stored = codec.decode(ids, values, np.zeros(len(DIMENSION_SLOTS), dtype=np.uint8), 0)
    for row, customer in enumerate(ids):
        theirs = oracle.customers[customer]
        if values[row] is None or int(stored.fixed["changes"][row]) != theirs.version:
            wrong.append(f"{customer} has another number of changes in Redis than its {theirs.version}")
    held = head.population - head.holes
    if held != len(ids):
        wrong.append(f"shard {number}: {held} customers in Redis, {len(ids)} in the inputs")
    return wrong
