"""What a new topic is made with, how long one keeps its records, and a broker that does not describe one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from segflow.schemas.connection_settings import Kafka
from segflow.schemas.settings import Settings
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import KEPT_FOR_EVER, KINDS, configuration
from segflow.streams.kafka.topics_report import Topic, alterations, compaction_lag, report_on, retention
from segflow.streams.runtime.errors import UsageError

NOT_AUTHORIZED = 29
"""Of Kafka's protocol: the user may not describe the topic."""


class Closed:
    """A broker that describes nothing to this user."""

    def describe_topics(self, names: list[str]) -> list[dict[str, object]]:
        """The error of each."""
        return [{"name": name, "error_code": NOT_AUTHORIZED, "partitions": []} for name in names]


@pytest.mark.parametrize("role", KINDS)
def test_a_record_of_a_replicated_topic_is_on_all_copies_but_one(role: str) -> None:
    """From three copies on: a broker may be lost, and nothing with it."""
    one, two, three = (Settings.model_validate({"kafka": {"replication": count}}) for count in (1, 2, 3))
    assert configuration(role, three) == configuration(role, one) | {"min.insync.replicas": "2"}
    assert configuration(role, two) == configuration(role, one)
    assert configuration(role, one).items() >= KINDS[role].made_with.items()


def test_topics_that_are_not_described_end_a_command_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asked for them: a worker, `segflow erase`, `segflow dead-letters`. None ends in a traceback."""

    @contextmanager
    def admin(_kafka: Kafka) -> Iterator[Closed]:
        yield Closed()

    monkeypatch.setattr(topics, "admin", admin)
    with pytest.raises(UsageError, match=r"Kafka does not describe commerce\.purchases: Kafka answers TOPIC_AUTH"):
        topics.check(Settings())


@pytest.mark.parametrize(
    ("milliseconds", "span"),
    [("86400000", timedelta(days=1)), ("0", timedelta(0)), ("-1", None), (str(2**63 - 1), None)],
)
def test_kafka_s_largest_number_is_for_ever_as_minus_one_is(milliseconds: str, span: timedelta | None) -> None:
    """`retention.ms` and `max.compaction.lag.ms` take both; Python's timedelta does not take the one."""
    configs = {"retention.ms": milliseconds, "max.compaction.lag.ms": milliseconds, "retention.bytes": "7"}
    topic = Topic(role="current", name="current", topic_id="", partitions=1, replicas=1, configs=configs)
    assert retention(topic) == (span, 7)
    assert compaction_lag(topic) == span


@pytest.mark.parametrize("grown", [("purchases", "interactions"), ("interactions",), ("changes",)])
def test_partitions_added_beside_what_workers_wrote_are_the_one_thing_said(grown: tuple[str, ...]) -> None:
    """To make a topic anew, which is right before the first worker ran, would lose what they wrote."""
    found = {
        role: Topic(
            role=role,
            name=role,
            topic_id="",
            partitions=1 if kind.single else 5 if role in grown else 3,
            replicas=1,
            configs={},
        )
        for role, kind in KINDS.items()
    }
    (problem,) = report_on(found, Settings(), divided=3).problems
    assert f"{grown[0]} has 5 partitions and had 3" in problem
    assert "segflow reshard --partitions 5" in problem
    before = " ".join(report_on(found, Settings()).problems)
    assert "partitions were added" not in before
    assert "Recreate one of them" in before or "delete it and run `segflow topics --create`" in before


@pytest.mark.parametrize(
    ("wanted", "guarantee", "kept", "told", "problems"),
    [
        ("7d", "exactly_once", "-1", "is kept for ever, and kafka.journal_retention is 1w", 0),
        ("7d", "exactly_once", "604800000", "", 0),
        ("7d", "exactly_once", "86400000", "is kept 1d, and kafka.journal_retention is 1w", 0),
        (None, "exactly_once", "604800000", "is kept 1w, and kafka.journal_retention is for ever", 0),
        ("7d", "at_least_once", "-1", "", 0),
        ("7d", "at_least_once", "604800000", "", 1),
    ],
)
def test_a_journal_that_is_kept_otherwise_than_the_settings_say_is_told(
    wanted: str | None, guarantee: str, kept: str, told: str, problems: int
) -> None:
    """A warning with what --migrate sets; a problem where a lost Redis is made from the journal, and it forgets."""
    settings = Settings.model_validate(
        {"kafka": {"journal_retention": wanted}, "worker": {"guarantee": guarantee}},
    )
    topics_ = {role: topic(role, configuration(role, settings)) for role in KINDS}
    topics_["journal"] = topic("journal", KEPT_FOR_EVER | {"retention.ms": kept})
    report = report_on(topics_, settings)
    assert len(report.problems) == problems
    assert len(report.warnings) == bool(told)
    for warning in report.warnings:
        assert warning.startswith(f"journal {told}. `segflow topics --migrate` sets retention.ms=")


def test_only_a_journal_that_is_kept_longer_forgets_when_it_is_altered() -> None:
    """A longer retention needs no look at what is still needed."""
    for kept, forgets in (("-1", True), ("86400000", False)):
        found = topic("journal", KEPT_FOR_EVER | {"retention.ms": kept})
        (alteration,) = alterations({"journal": found}, Settings())
        assert alteration.forgets is forgets


def topic(role: str, configs: dict[str, str]) -> Topic:
    """One that is there."""
    count = 1 if KINDS[role].single else 2
    return Topic(role=role, name=role, topic_id="", partitions=count, replicas=1, configs=configs)
