"""Bytewax: a stateful map over its Kafka source, with recovery."""

from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow

from benchmarks.peers.programs.customer import buy, nobody
from benchmarks.peers.programs.place import BROKER, INPUT, OUTPUT

Customer = dict[str, Any]


def segment(customer: Customer | None, event: dict[str, Any]) -> tuple[Customer, list[dict[str, Any]]]:
    """One purchase."""
    customer = dict(customer) if customer else nobody()
    change = buy(customer, event)
    return customer, [change] if change else []


def keyed(message: Any) -> tuple[str, dict[str, Any]]:
    """By customer."""
    return message.key.decode(), orjson.loads(message.value)


def record(pair: tuple[str, dict[str, Any]]) -> KafkaSinkMessage[bytes, bytes]:
    """A change, as it goes out."""
    return KafkaSinkMessage(pair[0].encode(), orjson.dumps(pair[1]))


flow = Dataflow("segments")
purchases = kafka.input("purchases", flow, brokers=[BROKER], topics=[INPUT], batch_size=5000)
events = op.map("decode", purchases.oks, keyed)
changes = op.stateful_flat_map("segment", events, segment)
records = op.map("encode", changes, record)
kafka.output("changes", records, brokers=[BROKER], topic=OUTPUT)
