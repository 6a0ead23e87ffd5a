"""The control topic: definitions and cuts, each version a record, its offset the version."""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as AdminPartition
from pydantic import ValidationError

from segflow.engine.columns.messages import Message
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.transfers import Decoders, decoders
from segflow.schemas.model_error import ModelError
from segflow.schemas.parameters import Parameters as WrittenParameters
from segflow.schemas.settings import Settings
from segflow.segments.recut import RecutPolicy, instants_of, kept_cuts
from segflow.segments.rules import from_settings, parameters_of, recut_policy_of
from segflow.streams.control import reshards
from segflow.streams.control.definitions import (
    Content,
    Definition,
    began,
    begun,
    definition_of,
    differences,
    fact_differences,
    models_ahead,
    settings_of,
    whole,
)
from segflow.streams.control.record_keys import LastingKeys, lasting
from segflow.streams.control.reshards import Reshard
from segflow.streams.control.scans import ShardScans
from segflow.streams.kafka.clients import aiokafka_options, kafka_python_options
from segflow.streams.runtime.backoff import Backoff
from segflow.streams.runtime.error_reason import reason

log = logging.getLogger(__name__)

ANSWER_S: Final = 30
"""The longest time the broker may take for the handful of records read at start-up."""
SECRET_BYTES: Final = 32
"""Of the key of blake2b, beyond what anybody could try."""
RETRY_S: Final = (0.5, 10.0)
"""First and longest pause between two tries to follow the topic, for which new cuts may wait."""
UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)
"""The errors of taking a record that segflow did not write; pydantic's are ValueErrors."""
FOLLOW_MS: Final = 500
"""One poll of the control topic; a record ends it at once."""
MILLISECOND_US: Final = 1000


WITH_ALL_FACTS: Final = (
    "With `facts: all` a dimension's facts begin empty, and count from then on; `segflow definitions` says since when. "
)


class DefinitionRefusedError(Exception):
    """The settings' definition cannot become this installation's; the message says why and what to do."""


class Control:
    """This worker's view of the control topic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.kafka.topics.control
        self._next = 0
        self._moved = asyncio.Event()
        self._secret: bytes | None = None
        self._decoders: tuple[int, Decoders] | None = None  # and the number of definitions they know
        self.foreign = 0  # records that are none of segflow's
        self.keys = LastingKeys()
        self.definitions: list[Definition] = []
        self.settings = settings  # in force: of the latest definition
        self.rule_versions: RuleVersions
        self.shard_scans = ShardScans()
        self.reshard: Reshard | None = None  # the last one

    @property
    def secret(self) -> bytes | None:
        """The key under which the ids of erased customers are hashed; None: the topic has none yet."""
        return self._secret

    @property
    def decoding(self) -> Settings:
        """Settings that decode for every definition there was."""
        return whole(self.definitions, self._settings)

    @property
    def decoders(self) -> Decoders:
        """Decoders for every definition there was: the same ones until there is another."""
        known = len(self.definitions)
        if self._decoders is None or self._decoders[0] != known:
            self._decoders = known, decoders(self.decoding)
        return self._decoders[1]

    def start(self, others: Callable[[], int], *, quiet: bool = False) -> None:
        """Read the topic to its end; where its latest definition is not the settings', write theirs. Blocking.

        The first worker of an installation writes the secret, too.

        Several workers may do so at once: a definition that says what the one before it says is none.

        Args:
            others: how many workers are at work now; asked where the settings would go back to an earlier definition.
            quiet: what moves by the new definition is not published.

        Raises:
            DefinitionRefusedError: the settings' definition cannot become the installation's.
            kafka.errors.KafkaError: Kafka cannot be reached.
        """
        known = self.read()
        mine = self.wanted
        if not known:
            self._write("definition", mine)
        elif not self._holds(mine):
            self.refuse_other_facts()
            begin = begun(self._latest.content, mine)
            if mine in [each.content for each in self.definitions] and others():
                self.read()  # one of the others may have written it just now
                if self._holds(mine):
                    return
                raise DefinitionRefusedError(self._stale(mine))
            self._write("definition", mine, quiet=quiet)
            self._tell_what_began(begin)
        if self._secret is None:
            self._write("secret", secrets.token_hex(SECRET_BYTES))
        if not self._holds(mine):
            log.warning(
                "another definition than this worker's settings is in force: %s", self._told(mine, self._latest.content)
            )

    def read(self) -> bool:
        """Read the topic to its end and write nothing; whether there is a definition. Blocking.

        Raises:
            ModelError: the latest definition has a model of another package that is not here, or in another version.
            kafka.errors.KafkaError: Kafka cannot be reached.
        """
        self._read_all()
        self._check_models()
        return bool(self.definitions)

    def _check_models(self) -> None:
        for name, model in self.settings.declarations().items():
            if model.missing and name in self.settings.dimensions:
                raise ModelError(model.missing)

    @property
    def _latest(self) -> Definition:
        return self.definitions[-1]

    @property
    def wanted(self) -> Content:
        """The definition of this worker's settings; what they do not say of facts is as it is."""
        return definition_of(self._settings, self._latest.content if self.definitions else None)

    def _tell_what_began(self, begin: list[str]) -> None:
        since = began(self.definitions)
        names = [name for name in since if name in begin or f"dimensions.{name}" in begin]
        if names:
            log.warning(
                "definition %d begins to keep what was not kept before, empty for every customer: %s. What happened "
                "before is not in it; `segflow definitions` shows since when each counts",
                self._latest.version,
                ", ".join(names),
            )

    def _holds(self, mine: Content) -> bool:
        return self._latest.content == mine

    def _write(self, kind: str, content: Any, **more: bool) -> None:
        options = kafka_python_options(self._settings.kafka)
        with closing(KafkaProducer(acks="all", **options)) as producer:
            value = json.dumps({"kind": kind, "content": content, **more}).encode()
            producer.send(self._topic, key=lasting(kind), value=value, partition=0).get(ANSWER_S)
        self.read()

    def refuse_other_facts(self) -> None:
        """Whether the records hold the facts that the settings want.

        Raises:
            DefinitionRefusedError: they hold others.
        """
        found = fact_differences([each.content for each in self.definitions], self.wanted)
        if found:
            hint = "" if models_ahead(self.wanted) else WITH_ALL_FACTS
            raise DefinitionRefusedError(
                "the settings need other facts than this installation has: "
                + "; ".join(map(str, found))
                + f". {hint}A worker classifies customers again, but cannot split the totals in their records, and "
                "`segflow rebuild` makes again what was published. Take the old values back; or let a new installation "
                "(other output topics, kafka.group and redis.prefix) read the log from its start"
            )

    def _stale(self, mine: Content) -> str:
        return (
            f"the settings are those of an earlier definition, and other workers run with a newer one (version "
            f"{self._latest.version}): {self._told(self._latest.content, mine)}. Take the newer settings; to go back, "
            "stop all workers first"
        )

    def _told(self, old: Content, new: Content) -> str:
        return "; ".join(map(str, differences(old, new)))

    def publish(self, message: Message) -> None:
        """Add a record to the topic. Blocking.

        Raises:
            kafka.errors.KafkaError: Kafka cannot be reached, or refuses.
        """
        options = kafka_python_options(self._settings.kafka)
        with closing(KafkaProducer(acks="all", **options)) as producer:
            producer.send(self._topic, key=message.key, value=message.value, partition=0).get(ANSWER_S)

    async def follow(self) -> None:
        """Read what is added from now on, for ever."""
        place = TopicPartition(self._topic, 0)
        consumer = AIOKafkaConsumer(
            isolation_level="read_committed", enable_auto_commit=False, **aiokafka_options(self._settings.kafka)
        )
        try:
            await consumer.start()
            consumer.assign([place])
            consumer.seek(place, self._next)
            while True:
                for record in (await consumer.getmany(place, timeout_ms=FOLLOW_MS)).get(place, []):
                    self._take(record.offset, record.value, record.timestamp, record.key)
                self._next = await consumer.position(place)  # past the markers of transactions
                self._moved.set()
        finally:
            await consumer.stop()

    async def keep_following(self) -> None:
        """`follow`, and again after an error."""
        backoff = Backoff(*RETRY_S, steady_s=RETRY_S[1])
        while True:
            started_s = time.monotonic()
            try:
                await self.follow()
            except (KafkaError, OSError) as error:
                log.warning("following the control topic: %s; trying again", reason(error))
            await asyncio.sleep(backoff.next_s(after_s=time.monotonic() - started_s))

    async def reaches(self, end: int) -> None:
        """Wait until `follow` has read to `end`, an offset the topic had.

        Raises:
            TimeoutError: it does not get there: Kafka is away.
        """
        async with asyncio.timeout(ANSWER_S):
            while self._next < end:
                self._moved.clear()
                await self._moved.wait()

    def _read_all(self) -> None:
        place = AdminPartition(self._topic, 0)
        options = kafka_python_options(self._settings.kafka)
        with closing(KafkaConsumer(isolation_level="read_committed", enable_auto_commit=False, **options)) as consumer:
            consumer.assign([place])
            end = consumer.end_offsets([place])[place]
            consumer.seek(place, self._next)
            while consumer.position(place) < end:
                for record in consumer.poll(timeout_ms=1000).get(place, []):
                    self._take(record.offset, record.value, record.timestamp, record.key)

    def _take(self, offset: int, value: bytes, written_ms: int, key: bytes | None = None) -> None:
        """A record; one that is none of segflow's is left out, by every worker alike."""
        self._next = offset + 1
        try:
            content = json.loads(value)
            self._apply(offset, content, written_ms)
            self.keys.add(key, content["kind"])
        except UNREADABLE as error:
            self.foreign += 1
            log.error(  # noqa: TRY400 - for a person
                "%s, partition 0, offset %d, is no record of segflow (%s), and is left out, by every worker alike. "
                "Another program writes to the topic: take its right to do so. If a newer version of segflow wrote it, "
                "start that one",
                self._topic,
                offset,
                f"it has no {error}" if isinstance(error, KeyError) else reason(error),
            )

    def _apply(self, offset: int, content: dict[str, Any], written_ms: int) -> None:
        if content["kind"] == "definition":
            self._define(offset, content, written_ms)
        elif content["kind"] == "secret":
            if self._secret is None:  # two workers that start at once may both write it; the first counts
                self._secret = self.rule_versions.secret = bytes.fromhex(content["content"])
        elif content["kind"] == "cuts":
            self.shard_scans.answered(content["at_us"])
            self._recut(offset, content)
        elif content["kind"] == "parameters":
            self._take_parameters(offset, content)
        elif content["kind"] == "cuts-kept":
            self.shard_scans.answered(content["at_us"])
        elif content["kind"] == "histogram":
            self.shard_scans.add(content)
        elif content["kind"] == "reshard":
            self.reshard = reshards.of_record(content["content"])
            self.shard_scans.begin_anew()

    def _take_parameters(self, version: int, record: dict[str, Any]) -> None:
        """Parameters of a fit; those that no label could stand on are left out, by every worker alike."""
        models = {name: record.get(name) for name in WrittenParameters.model_fields}
        try:
            fitted = parameters_of(WrittenParameters.model_validate(models))
        except ValidationError as error:
            first = error.errors()[0]
            log.error(  # noqa: TRY400 - for a person
                "%s, offset %d: fitted parameters that cannot be used are left out (%s: %s), and those of before stay; "
                "`segflow fit` writes new ones",
                self._topic,
                version,
                ".".join(map(str, first["loc"])),
                first["msg"],
            )
            return
        self.rule_versions.add_cuts(replace(self.rule_versions.latest.cuts, version=version, parameters=fitted))

    def _recut(self, version: int, record: dict[str, Any]) -> None:
        """New cuts, as far as the definition in force wants any: it may have changed while they were decided."""
        held = self.rule_versions.latest.cuts
        policy = recut_policy_of(self.settings)
        record = record if "recency_from_us" in record else _with_moments(record, policy)
        instants = record["recency_from_us"]
        cuts = replace(
            held,
            version=version,
            recency_us=tuple(record["recency_us"]),
            recency_from_us=None if instants is None else tuple(instants),
            frequency=tuple(record["frequency"]),
            monetary_minor=tuple(record["monetary_minor"]),
            value_minor=tuple(record.get("value_minor", held.value_minor)),
            clv_minor=tuple(record.get("clv_minor", held.clv_minor)),
            window_at_us=record["window_at_us"],
            clv_at_us=record["clv_at_us"],
        )
        if policy.wanted:
            kept = kept_cuts(cuts, policy, policy)
            self.rule_versions.add_cuts(replace(kept, version=version, parameters=held.parameters))

    def _define(self, version: int, record: dict[str, Any], written_ms: int) -> None:
        """A definition; one that says what the latest says is none: workers that start at once may all write it."""
        settings = settings_of(record["content"], self._settings)
        content = definition_of(settings)  # as this version writes it
        if self.definitions and self._holds(content):
            return
        quiet = bool(record.get("quiet"))
        rules = from_settings(settings, definition=version)
        defined = Definition(version=version, written_us=written_ms * MILLISECOND_US, content=content, quiet=quiet)
        self.definitions.append(defined)  # first, so that what a known rule version needs is always decoded
        if len(self.definitions) > 1:
            cuts = kept_cuts(self.rule_versions.latest.cuts, recut_policy_of(self.settings), recut_policy_of(settings))
            self.rule_versions.add_definition(rules.with_cuts(cuts), quiet=quiet)
        else:
            self.rule_versions = RuleVersions(rules, self._secret or b"")
        self.settings = settings


def _with_moments(record: dict[str, Any], policy: RecutPolicy) -> dict[str, Any]:
    """A record of a version that knew no moments of cuts, as this one writes it.

    Its recency is an age as of the moment of the cut, where it is of the population. It is not where it says what the
    fixed cuts say: there were too few customers.
    """
    at_us, fixed = record["at_us"], policy.fixed
    scores = [tuple(record[name]) for name in ("recency_us", "frequency", "monetary_minor")]
    of_many = scores != [fixed.recency_us, fixed.frequency, fixed.monetary_minor]
    classes = tuple(record.get("clv_minor", fixed.clv_minor))
    return record | {
        "recency_from_us": instants_of(record["recency_us"], at_us) if of_many else None,
        "window_at_us": at_us if of_many and policy.window_slots else None,
        "clv_at_us": at_us if classes != fixed.clv_minor else None,
    }
