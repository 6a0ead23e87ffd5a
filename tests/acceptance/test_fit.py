"""segflow fit over the customers in Redis: a new version of the parameters, which shards adopt as they do re-cuts."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from segflow.embedded.kafka import ApacheKafka
from segflow.segments.instant import to_text
from segflow.segments.parameters import CDNOW, MbgNbd
from tests.oracle.simulation import Adopt, OracleRules
from tests.support.agreement import by_customer
from tests.support.cdnow import CALIBRATION_END_US, published_sample, purchases
from tests.support.command import segflow
from tests.support.journal_oracle import by_journal
from tests.support.population_cuts import under_cuts
from tests.support.service import Service

pytestmark = [pytest.mark.kafka, pytest.mark.redis]
CUSTOMERS = 600
FEW = 60
"""To 60 digits the oracle takes its time over each end of a class of clv."""


def events(customers: int = CUSTOMERS) -> list[dict[str, Any]]:
    """What so many of CDNOW's customers bought up to the end of September 1997, in the order of time."""
    log = purchases(frozenset(sorted(published_sample())[:customers]))
    came = sorted(zip(log.times_us.tolist(), log.customers.tolist(), strict=True))
    return [
        {
            "type": "purchase",
            "event_id": f"e{number}",
            "customer_id": log.names[customer],
            "order_id": "o",
            "amount": 10,
        }
        | {"occurred_at": to_text(time_us)}
        for number, (time_us, customer) in enumerate(came)
        if time_us <= CALIBRATION_END_US
    ]


def test_a_fit_over_redis_is_adopted_by_every_shard(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """With --dry-run nothing moves. Else every shard scores its customers anew, cause recut; the audit is clean."""
    log = events()
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event", dimensions=["churn"])

    def is_read(entries: list[dict[str, Any]]) -> bool:
        reached = {entry["partition"]: entry["plan"]["purchases_to"] for entry in entries}
        return bool(sum(reached.values()) == len(log))

    with service.worker():
        service.send(log)
        service.journal(is_read)
        dry = segflow("fit", "--settings", service.file, "--dry-run", "--json")
        assert dry.code == 0, dry.err
        told = json.loads(dry.out)
        assert (told["customers"], told["version"]) == (CUSTOMERS, None)
        assert told["calibration"][-1]["customers"] == CUSTOMERS
        assert told["mbg_nbd_log_likelihood"] < 0
        assert [note[:28] for note in told["notes"]] == ["Gamma-Gamma stays as it was:"]
        written = segflow("fit", "--settings", service.file)
        assert written.code == 0, written.err
        for word in ("MBG/NBD: r", "log-likelihood -", "repeats before", "predicted", "actual"):
            assert word in written.out
        service.journal(lambda found: len({each["partition"] for each in found if each["adopts"] is not None}) == 2)
        expected = by_journal(service, rules(CDNOW.mbg_nbd, 0), fitted)
        found = service.changes(len(expected))  # before it is stopped: deadlines are swept in slices
    assert by_customer(found) == by_customer(expected)
    recuts = [each for each in found if each["cause"]["kind"] == "recut"]
    (version,) = {each["cuts"] for each in recuts}
    assert f"as version {version};" in written.out
    assert len(recuts) > CUSTOMERS // 10
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def rules(parameters: MbgNbd, cuts: int) -> OracleRules:
    """Churn alone, with these parameters."""
    r, alpha, a, b = (Fraction(each) for each in (parameters.r, parameters.alpha_weeks, parameters.a, parameters.b))
    return OracleRules(dimensions=("churn",), mbg_nbd=(r, alpha, a, b), cuts=cuts)


def fitted(version: int, record: dict[str, Any]) -> Adopt:
    """What `segflow fit` wrote."""
    assert record["kind"] == "parameters"
    return Adopt(rules(MbgNbd(**record["mbg_nbd"]), version), "recut")


def test_terciles_of_clv_reach_every_customer_and_the_oracle_agrees(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Shards scan, shard 0 decides, all adopt; about a third of the living are in each class then."""
    content: dict[str, Any] = {"dimensions": ["lifecycle", "clv"], "clv": {"cuts": "terciles"}}
    content |= {"recut": {"min_population": 20, "every": "20d"}}
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2, clock="event", **content)
    log = [each | {"amount": 5 + 7 * number % 90} for number, each in enumerate(events(FEW))]
    half = len(log) // 2
    with service.worker():
        service.send(log[:half])
        service.journal(lambda found: read_so_far(found) >= half)
        service.read("control", lambda found: bool(versions_of_cuts(found)))
        service.send(log[half:])
        service.journal(lambda found: read_so_far(found) >= len(log))
        newest = max(versions_of_cuts(service.read("control")))
        service.journal(lambda found: adopted_to(found) >= newest)
        service.leaves_nothing_due()
    first = OracleRules(dimensions=("lifecycle", "clv"))
    expected = by_journal(service, first, lambda version, record: thirds(first, version, record))
    found = service.changes(len(expected))
    assert by_customer(found) == by_customer(expected)
    assert any(each["cause"]["kind"] == "recut" and each["dimension"] == "clv" for each in found)
    audited = segflow("audit", "--settings", service.file, "--state")
    assert audited.code == 0, audited.out + audited.err


def versions_of_cuts(found: list[Any]) -> list[int]:
    """Offsets of control records that are new cuts."""
    return [each.offset for each in found if json.loads(each.value)["kind"] == "cuts"]


def read_so_far(entries: list[dict[str, Any]]) -> int:
    """Purchases the journal's commits have read."""
    return sum(each["plan"]["purchases_to"] - each["purchases_from"] for each in entries)


def adopted_to(entries: list[dict[str, Any]]) -> int:
    """The version that both shards have adopted."""
    held = {each["partition"]: each["adopts"] for each in entries if each["adopts"] is not None}
    return min(held.values()) if len(held) == 2 else 0


def thirds(first: OracleRules, version: int, record: dict[str, Any]) -> Adopt:
    """New ends of clv's classes."""
    return Adopt(under_cuts(first, version, record), "recut")
