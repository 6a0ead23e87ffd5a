"""Aliases in the store: read for a commit, written by it, and handed over to other shards."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from segflow.engine.columns import merge_messages
from segflow.engine.columns.events import HANDOVER, INTERACTIONS, Chunk, Kind
from segflow.engine.columns.merge_messages import MergeMessage
from segflow.engine.columns.messages import Message
from segflow.engine.merging.merges import Aliases
from segflow.engine.partitioner import partition_of
from segflow.schemas.settings import Settings
from segflow.state.customers import Customers
from segflow.state.head import Head
from segflow.state.redirect import Redirect, is_redirect
from segflow.state.store import Store


def read_aliases(
    head: Head, events: Chunk, place: dict[str, int], values: list[bytes | None], store: Store, *, alone: bool
) -> Aliases | None:
    """The aliases of a batch; None where neither its events nor its customers have to do with any.

    Args:
        head: the state's; it says whether the shard has any aliases.
        events: of the batch.
        place: rows by customer id. Customers who come in by aliases are added.
        values: stored bytes by row, likewise added to. An id that became another has none. Records that were handed
            over stand last, beyond the rows of `place`.
        store: begun.
        alone: the shard has all customers.
    """
    redirects: dict[int, Redirect] = {}
    if head.redirects:
        redirects = {row: Redirect.decode(value) for row, value in enumerate(values) if value and is_redirect(value)}
    erases = bool((events.kinds == Kind.ERASE).any())
    if not (redirects or events.merge_messages or (head.aliases and erases)):
        return None
    aliases = Aliases(alone=alone, rows=place, redirects=redirects, merge_messages=events.merge_messages)
    if alone:
        _follow(aliases, events, values, store, with_merged=erases)
    aliases.before.update(redirects)
    for row in redirects:
        values[row] = None
    for event, each in events.merge_messages.items():
        if each.record is not None:
            aliases.guests[event] = len(values)
            values.append(each.record)
    return aliases


def _follow(aliases: Aliases, events: Chunk, values: list[bytes | None], store: Store, *, with_merged: bool) -> None:
    """Load whom ids became, whom aliases name, and, where somebody is erased, the ids that became them."""
    place, ids = aliases.rows, list(aliases.rows)
    todo = [ids[row] for row in aliases.redirects] + [each.previous for each in aliases.merge_messages.values()]
    todo += [events.customer_ids[event] for event in np.flatnonzero(events.kinds >= Kind.ERASE).tolist()]
    done: set[str] = set()
    while todo:
        todo = [each for each in dict.fromkeys(todo) if each not in done]
        done.update(todo)
        new = [each for each in todo if each not in place]
        for customer_id, value in zip(new, store.load(new), strict=True):
            place[customer_id] = len(values)
            values.append(value)
            if value and is_redirect(value):
                aliases.redirects[place[customer_id]] = Redirect.decode(value)
        more = [aliases.redirects[place[each]].to for each in todo if place[each] in aliases.redirects]
        if with_merged:
            more += [other for each in todo for other in store.merged_from(each)]
        todo = more


def redirect_records(aliases: Aliases, customers: Customers) -> list[tuple[str, bytes]]:
    """The redirects that take the place of records, by id, encoded."""
    return [
        (customers.ids[row], aliases.redirects[row].encode())
        for row in sorted(aliases.moved)
        if row in aliases.redirects
    ]


def ended_redirects(aliases: Aliases, known: npt.NDArray[np.bool_]) -> list[int]:
    """Rows of which nothing is stored any more: they redirected, and neither do so nor are `known` now."""
    return [row for row in sorted(aliases.before) if row not in aliases.redirects and not known[row]]


def handed_over(
    settings: Settings,
    partition: int,
    events: Chunk,
    sides: npt.NDArray[np.uint8],
    sent: Sequence[tuple[int, MergeMessage]],
) -> list[MergeMessage]:
    """Merge messages with the events that caused them; `sides`: of which input each event is."""
    topics = settings.kafka.topics
    found = []
    for event, each in sent:
        if sides[event] == HANDOVER:
            source = events.merge_messages[event]
            fields = {name: getattr(source, name) for name in ("value", "topic", "partition", "offset")}
        else:
            topic = topics.interactions if sides[event] == INTERACTIONS else topics.purchases
            fields = {
                "value": events.values[event] or b"",
                "topic": topic,
                "partition": partition,
                "offset": int(events.offsets[event]),
            }
        found.append(msgspec.structs.replace(each, **fields))
    return found


def addressed(settings: Settings, shards: int, sent: Sequence[MergeMessage]) -> list[tuple[int, Message]]:
    """Each message and the partition it goes to."""
    partitioner = settings.kafka.partitioner
    return [
        (partition_of(each.to.encode(), partitioner, shards) if each.to else 0, merge_messages.encode(each))
        for each in sent
    ]
