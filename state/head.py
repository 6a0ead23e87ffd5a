"""The shard's head: what one shard knows of itself, stored beside its customers and guarded at every commit."""

from typing import Final

import msgspec

from segflow.segments.instant import UNKNOWN

PAGE_CUSTOMERS: Final = 512
"""Customers a page of the directory: a scan's smallest slice; a page of 20-byte ids is 10 KiB."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The position in one input up to which it was read."""

    topic_id: str = ""  # so that a topic deleted and made again is noticed
    offset: int = 0  # the next to read
    leader_epoch: int = -1  # of the leader that took the last record read; -1: unknown


class Adopting(msgspec.Struct, frozen=True, kw_only=True):
    """New rules the shard has adopted and not yet brought to every customer."""

    old: int  # version of the rules before
    at_us: int  # the adoption time
    page: int = 0  # the directory's pages before it are done
    pages: int = 0  # there were so many at the adoption; customers after them are born under the new rules


class Erasures(msgspec.Struct, frozen=True, kw_only=True):
    """Between which times the erased customers lie of whom something stays."""

    oldest_us: int  # none before
    latest_us: int  # none after


class InTopic(msgspec.Struct, frozen=True, kw_only=True):
    """The reach of `segments.state` into this shard's state, and of this state into the topic (docs/state.md)."""

    topic_id: str = ""  # a topic made again has another
    layout: int = 1  # of the topic's records (state/topic_layout.py)
    since: int = 0  # records before this offset count for nothing: they are from before the state was written there
    offset: int = 0  # all that the topic holds before it is in this state
    at_us: int = UNKNOWN  # wall time of the commit: tombstones behind `offset` are no older
    places: int = 0  # of the directory, those that the filling has written there so far
    until: int = 0  # it has as many to write; customers behind them came since, and were written as they came
    complete: bool = False  # all of the state is there: it can be copied


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The fold of a shard's log but for its customers."""

    owner: str = ""  # random token of the worker that holds the shard
    sequence: int = 0  # commits so far
    committed_by: str = ""  # the owner that made the last of them; empty: from before it was kept
    purchases: Position = Position()
    interactions: Position = Position()
    handover: Position = Position()
    clock_us: int = UNKNOWN  # C of docs/architecture.md#what-c-and-c-are
    population: int = 0  # places in the directory so far; its pages follow from it
    holes: int = 0  # of them, places whose customers were erased
    rules: int = 0  # version of the rules adopted last
    adopting: Adopting | None = None
    erasures: Erasures | None = None  # None: nothing stays of anybody
    redirects: int = msgspec.field(default=0, name="forwards")  # ids that became another customer's
    aliases: int = 0  # aliases of this shard's customers so far; 0: no erase has other ids to tell of
    counted: bool = False  # customers by label, beside it: from the first one on; an older state lacks them
    partial: bool = False  # what stands beside it is being wiped, copied or made again: take it for nothing
    in_topic: InTopic | None = None  # None: nothing of this state is known to be in `segments.state`

    @property
    def pages(self) -> int:
        """The number of pages of the directory."""
        return -(-self.population // PAGE_CUSTOMERS)

    @property
    def is_in_topic(self) -> bool:
        """Whether `segments.state` has all of this state."""
        return self.in_topic is not None and self.in_topic.complete

    @property
    def can_count(self) -> bool:
        """Whether the customers by label are there to be counted on from: they are, or there is nobody yet."""
        return self.counted or not self.population

    @property
    def positions(self) -> tuple[Position, Position, Position]:
        """Of purchases, interactions and what was handed over."""
        return self.purchases, self.interactions, self.handover


_DECODER: Final = msgspec.json.Decoder(Head)


def encode(head: Head) -> bytes:
    """The head as stored: JSON, so that an operator can read it."""
    return msgspec.json.encode(head)


def decode(value: bytes) -> Head:
    """A stored head.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    return _DECODER.decode(value)
