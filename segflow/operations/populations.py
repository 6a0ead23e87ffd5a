"""The whole population, from files of events or from Redis, as the purchase models are fitted to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from segflow.engine.advance.erasures import start_labels
from segflow.engine.columns.events import Kind
from segflow.engine.decode.records import Decoder
from segflow.fitting.held_out import HeldOut, held_out
from segflow.fitting.purchase_log import PurchaseLog
from segflow.fitting.sample import Sample
from segflow.operations.line_files import LineFiles
from segflow.schemas.currency import minor_digits
from segflow.schemas.settings import Settings
from segflow.segments.facts import Facts
from segflow.segments.instant import UNKNOWN
from segflow.segments.rules import from_settings
from segflow.state import lookup, record
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.redis import RedisStore
from segflow.state.redis_servers import RedisServers
from segflow.state.store import HOLE
from segflow.streams.runtime.errors import UsageError

PAGES_AT_ONCE: Final = 8
"""Directory pages read in one go: some 4,000 customers, as a worker's own slices are."""


def purchase_log(settings: Settings, files: LineFiles) -> PurchaseLog:
    """The usable purchases and refunds of files, each event once.

    Raises:
        UsageError: a file cannot be read, or has no usable purchase.
    """
    decoder = Decoder(settings, None)
    ids: list[str] = []
    known: set[tuple[str, int]] = set()
    parts = []
    refused = ""
    for lines in files:
        chunk = decoder.decode(lines.values, None, range(len(lines.values)))
        rows = []
        if chunk.unusable and not refused:
            row, why = next(iter(chunk.unusable.items()))
            refused = f"; {lines.file} line {lines.numbers[row]}: {why.reason}"
        for row in np.flatnonzero(chunk.usable & (chunk.kinds <= Kind.REFUND)).tolist():
            identity = (chunk.customer_ids[row], int(chunk.identities[row]))
            if identity not in known:
                known.add(identity)
                rows.append(row)
        ids += [chunk.customer_ids[row] for row in rows]
        parts.append((chunk.occurred_us[rows], chunk.amounts_minor[rows], chunk.kinds[rows] == Kind.PURCHASE))
    nothing = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))
    times_us, minor, buys = (np.concatenate(column) for column in zip(nothing, *parts, strict=True))
    if not buys.any():
        raise UsageError(f"there is no usable purchase in the files{refused}")
    money = np.where(buys, minor, -minor) / 10 ** minor_digits(settings.currency)
    return PurchaseLog.of(ids, times_us, money, buys)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The population in Redis."""

    at_us: int  # the latest of the shards' clocks
    sample: Sample
    held_out: HeldOut


def kept(settings: Settings, servers: RedisServers, partitions: int) -> Kept:
    """All customers with a purchase, as Redis has them. Reads only, slice by slice; workers go on meanwhile.

    Raises:
        UsageError: no shard has any.
        redis.RedisError: Redis cannot be reached.
        segflow.state.layout.LayoutError: a record cannot be read.
    """
    heads = lookup.heads(servers, settings.redis.prefix, partitions)
    at_us = max((head.clock_us for head in heads if head is not None), default=UNKNOWN)
    if at_us == UNKNOWN:
        raise UsageError("no shard has any customers yet: fit to a file of events instead")
    samples, past = [], []
    for partition, head in enumerate(heads):
        for facts in _slices(settings, servers, partition, head):
            samples.append(Sample.of(facts, at_us, 10 ** minor_digits(settings.currency)))
            past.append(held_out(facts, at_us))
    return Kept(
        at_us=at_us,
        sample=Sample.join(samples),
        held_out=HeldOut(
            before=Sample.join([each.before for each in past]),
            later_days=np.concatenate([each.later_days for each in past]),
        ),
    )


def _slices(settings: Settings, servers: RedisServers, partition: int, head: Head | None) -> Iterator[Facts]:
    """The facts of a shard's customers with a purchase."""
    if head is None:
        return
    rules = from_settings(settings)
    store = RedisStore(servers, Keys(settings.redis.prefix, partition))
    pages = range(head.pages)
    for first in pages[::PAGES_AT_ONCE]:
        ids = [each for page in pages[first : first + PAGES_AT_ONCE] for each in store.page(page) if each != HOLE]
        customers = record.decode(ids, store.load(ids), start_labels(rules), 0, rules.kept)
        yield customers.facts(np.flatnonzero(customers.fixed["purchases"] > 0))
    store.close()
