"""The control topic: definitions and cuts, each version a record, its offset the version."""

import asyncio
import json
import secrets
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaConsumer, KafkaProducer
from kafka import TopicPartition as AdminPartition

from schemas.settings import Settings
from segments.cuts import Cuts
from segments.parameters import GammaGamma, MbgNbd, Parameters
from segments.rules import from_settings
from streams.histograms import Histograms
from streams.kafka_clients import aiokafka_options, kafka_python_options
from streams.messages import Message
from streams.rulebook import Rulebook

ANSWER_S: Final = 30
"""How long the broker may take for the handful of records read at start-up."""
SECRET_BYTES: Final = 32
"""Of the key of blake2b, beyond what anybody could try."""
FOLLOW_MS: Final = 500
"""One poll of the control topic; a record ends it at once."""

FITTED: Final = frozenset({"churn"})
"""Dimensions that look at `parameters`."""


class DefinitionChangedError(Exception):
    """The settings define segments otherwise than this installation does."""


def definition_of(settings: Settings) -> dict[str, Any]:
    """What of the settings decides labels, as plain JSON; of a dimension that is off nothing does.

    Lifecycle always does: re-cuts ask it who is living.
    """
    always = {"currency", "rates", "dimensions", "lifecycle", "rfm", "slot", "recut", "holdout_share"}
    fitted = {"parameters"} if FITTED & set(settings.dimensions) else set()
    content = settings.model_dump(mode="json", include=always | set(settings.dimensions) | fitted)
    plain: dict[str, Any] = json.loads(json.dumps(content, sort_keys=True))
    return plain


def cuts_message(cuts: Cuts, at_us: int, population: int, *, moved: bool) -> Message:
    """A re-cut as a control record.

    Where the cuts `moved`, the record's offset is their version; else it only says that the boundary is done with.
    """
    value = {
        "kind": "cuts" if moved else "cuts-kept",
        "at_us": at_us,
        "population": population,
        "recency_us": cuts.recency_us,
        "frequency": cuts.frequency,
        "monetary_minor": cuts.monetary_minor,
        "value_minor": cuts.value_minor,
    }
    return Message(key=b"cuts", value=json.dumps(value).encode(), headers=[])


def parameters_message(parameters: Parameters, at_us: int, customers: int) -> Message:
    """Fitted parameters as a control record, whose offset is their version; from `customers` as `at_us` saw them."""
    value = {"kind": "parameters", "at_us": at_us, "customers": customers} | asdict(parameters)
    return Message(key=b"parameters", value=json.dumps(value).encode(), headers=[])


class Control:
    """What this worker knows of the control topic."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.kafka.topics.control
        self._next = 0
        self._moved = asyncio.Event()
        self._definition: dict[str, Any] | None = None
        self._secret: bytes | None = None
        self.rulebook: Rulebook
        self.histograms = Histograms()

    def start(self) -> None:
        """Read the topic to its end; the first worker of an installation writes definition and secret. Blocking.

        Raises:
            DefinitionChangedError: the settings' definition is not the installation's.
            kafka.errors.KafkaError: Kafka cannot be reached.
        """
        missing: dict[str, Any] = {}
        if not self.read():
            missing["definition"] = definition_of(self._settings)
        if self._secret is None:
            missing["secret"] = secrets.token_hex(SECRET_BYTES)
        if missing:
            options = kafka_python_options(self._settings.kafka)
            with closing(KafkaProducer(acks="all", **options)) as producer:
                for kind, content in missing.items():
                    value = json.dumps({"kind": kind, "content": content}).encode()
                    producer.send(self._topic, key=kind.encode(), value=value, partition=0).get(ANSWER_S)
            self.read()

    def read(self) -> bool:
        """Read the topic to its end and write nothing; whether there is a definition. Blocking.

        Raises:
            DefinitionChangedError: the settings' definition is not the installation's.
            kafka.errors.KafkaError: Kafka cannot be reached.
        """
        self._read_all()
        mine = definition_of(self._settings)
        if self._definition is None:
            return False
        if self._definition != mine:
            raise DefinitionChangedError(
                f"the settings define segments otherwise than this installation ({self._topic}): "
                + "; ".join(_differences(self._definition, mine))
                + ". Take the old values back; or begin anew with other topics, kafka.group and redis.prefix"
            )
        return True

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
                    self._take(record.offset, record.value)
                self._next = await consumer.position(place)  # past the markers of transactions
                self._moved.set()
        finally:
            await consumer.stop()

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
                    self._take(record.offset, record.value)

    def _take(self, offset: int, value: bytes) -> None:
        self._next = offset + 1
        content = json.loads(value)
        if content["kind"] == "definition":
            if self._definition is None:  # two workers that start at once may both write it; the first counts
                self._definition = _as_written_now(content["content"])
                self.rulebook = Rulebook(from_settings(self._settings, definition=offset), self._secret or b"")
        elif content["kind"] == "secret":
            if self._secret is None:  # likewise
                self._secret = self.rulebook.secret = bytes.fromhex(content["content"])
        elif content["kind"] == "cuts":
            self.rulebook.add_cuts(
                replace(
                    self.rulebook.latest.cuts,
                    version=offset,
                    recency_us=tuple(content["recency_us"]),
                    frequency=tuple(content["frequency"]),
                    monetary_minor=tuple(content["monetary_minor"]),
                    value_minor=tuple(content.get("value_minor", self.rulebook.first.cuts.value_minor)),
                )
            )
            self.histograms.answered(content["at_us"])
        elif content["kind"] == "parameters":
            fitted = Parameters(mbg_nbd=MbgNbd(**content["mbg_nbd"]), gamma_gamma=GammaGamma(**content["gamma_gamma"]))
            self.rulebook.add_cuts(replace(self.rulebook.latest.cuts, version=offset, parameters=fitted))
        elif content["kind"] == "cuts-kept":
            self.histograms.answered(content["at_us"])
        elif content["kind"] == "histogram":
            self.histograms.add(content)


def _as_written_now(content: dict[str, Any]) -> dict[str, Any]:
    """A definition as this version writes it.

    The schedule of re-cuts stood in `rfm` while only that had them; there was no window, and one length of slots.
    """
    rfm = {"window": None} | content["rfm"]
    recut = content.get("recut") or {"every": rfm.pop("recut_every"), "min_population": rfm.pop("min_population")}
    return {"slot": "4w"} | content | {"rfm": rfm, "recut": recut}


def _differences(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Each setting that differs, with both values."""
    found = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += _differences(before, after, f"{path}{name}.")
        elif before != after:
            found.append(f"{path}{name} was {json.dumps(before)}, is {json.dumps(after)}")
    return found
