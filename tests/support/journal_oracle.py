"""The oracle over an installation's inputs, with new rules adopted where the journal says that each shard did."""

import json
from collections.abc import Callable
from typing import Any

from tests.oracle.simulation import Adopt, Event, OracleRules, Shard, Sweep
from tests.support.population_cuts import under_cuts
from tests.support.service import Service

Record = dict[str, Any]
"""A control record's content."""


def by_journal(installed: Service, first: OracleRules, adopted: Callable[[int, Record], Adopt]) -> list[Record]:
    """The changes of all shards: purchases only, swept to the clock after the last commit.

    `adopted` gives what a version of the control topic is to the oracle.
    """
    changes: list[Record] = []
    records, entries = installed.read("purchases"), installed.journal()
    versions = {each.offset: json.loads(each.value) for each in installed.read("control")}
    for shard in range(installed.partitions):
        oracle = Shard(first)
        mine = [record for record in records if record.partition == shard]
        commits = [each for each in entries if each["partition"] == shard]
        for entry in sorted(commits, key=lambda each: each["plan"]["sequence"]):
            if entry["adopts"] is not None:
                changes += oracle.step(adopted(entry["adopts"], versions[entry["adopts"]]))
            for record in mine:
                if entry["purchases_from"] <= record.offset < entry["plan"]["purchases_to"]:
                    changes += oracle.step(Event(json.loads(record.value)))
        changes += oracle.step(Sweep(None))
    return changes


def quintiles(version: int, cuts: Record) -> Adopt:
    """Cuts of rfm's scores."""
    return Adopt(under_cuts(OracleRules(), version, cuts), "recut")
