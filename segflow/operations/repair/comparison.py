"""Compares the records expected on a topic with those on it: missing, repeated, reordered, altered, foreign ones."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from xxhash import xxh3_64_intdigest, xxh3_128_intdigest

from segflow.streams.consume.shard_inputs import TRACEPARENT

NOWHERE: Final = -1
KEPT_MAX: Final = 1_000
"""Records without a partner whose bytes are kept, to report them. Of more only the number is reported."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A record, expected or published. identity: equal for the two that belong together."""

    identity: bytes
    fingerprint: int  # of all its bytes
    index: int  # its place in its stream
    value: bytes | None  # None beyond KEPT_MAX
    where: str  # the commit that gives it, or where it stands in the topic


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """The result of a comparison; lists are in the order of their stream."""

    lost: list[Item]  # expected, and not there
    repeated: list[Item]  # there again
    foreign: list[Item]  # there, and no commit gives it
    altered: list[Item]  # there with other bytes
    reordered: int  # records behind one that was to come later

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.lost or self.repeated or self.foreign or self.altered or self.reordered)


@dataclass(slots=True)
class Comparison:
    """Two streams of records that should be the same, fed side by side; what has met its partner is forgotten.

    So memory is 16 bytes a record, and more only for those without a partner yet.
    """

    _expected: dict[bytes, list[Item]] = field(default_factory=dict)  # without a partner yet
    _published: dict[bytes, list[Item]] = field(default_factory=dict)
    _seen: "array[int]" = field(default_factory=lambda: array("Q"))  # hashes of all identities ever expected
    _places: "array[int]" = field(default_factory=lambda: array("q"))  # of each published: where it was expected
    _altered: list[Item] = field(default_factory=list)
    _last_met: int = NOWHERE  # index of the last published record that has a partner

    @property
    def expected(self) -> int:
        """Records expected so far."""
        return len(self._seen)

    @property
    def published(self) -> int:
        """Records published so far."""
        return len(self._places)

    def expect(self, identity: bytes, fingerprint: int, value: bytes, where: str) -> None:
        """The next record that should be there."""
        index = len(self._seen)
        self._seen.append(xxh3_64_intdigest(identity))
        there = self._pop(self._published, identity)
        if there is not None:
            self._met(there, index, altered=there.fingerprint != fingerprint)
        else:
            self._put(self._expected, identity, fingerprint, index, value, where)

    def find(self, identity: bytes, fingerprint: int, value: bytes, where: str) -> None:
        """The next record that is there."""
        index = len(self._places)
        self._places.append(NOWHERE)
        partner = self._pop(self._expected, identity)
        if partner is None:
            self._put(self._published, identity, fingerprint, index, value, where)
            return
        item = Item(identity=identity, fingerprint=fingerprint, index=index, value=value, where=where)
        self._met(item, partner.index, altered=partner.fingerprint != fingerprint)

    def finish(self, *, newer: bool, whole: bool) -> Differences:
        """End the comparison.

        Args:
            newer: records were published after the last expected one. Those at the end without a partner are then no
                difference.
            whole: everything that should be on the topic was expected. Otherwise a record without a partner may be
                right, unless it is a repetition.
        """
        left = sorted((item for items in self._published.values() for item in items), key=lambda item: item.index)
        if newer:
            left = [item for item in left if item.index <= self._last_met]
        ours = np.isin(
            np.array([xxh3_64_intdigest(item.identity) for item in left], dtype=np.uint64),
            np.frombuffer(self._seen, dtype=np.uint64),
        )
        places = np.frombuffer(self._places, dtype=np.int64)
        places = places[places != NOWHERE]
        return Differences(
            lost=sorted((item for items in self._expected.values() for item in items), key=lambda item: item.index),
            repeated=[item for item, known in zip(left, ours.tolist(), strict=True) if known],
            foreign=[item for item, known in zip(left, ours.tolist(), strict=True) if not known] if whole else [],
            altered=self._altered,
            reordered=int(np.count_nonzero(places < np.maximum.accumulate(places))) if len(places) else 0,
        )

    def _met(self, there: Item, expected_index: int, *, altered: bool) -> None:
        self._places[there.index] = expected_index
        self._last_met = max(self._last_met, there.index)
        if altered:
            self._altered.append(there)

    @staticmethod
    def _pop(items: dict[bytes, list[Item]], identity: bytes) -> Item | None:
        found = items.get(identity)
        if found is None:
            return None
        item = found.pop(0)
        if not found:
            del items[identity]
        return item

    @staticmethod
    def _put(
        items: dict[bytes, list[Item]], identity: bytes, fingerprint: int, index: int, value: bytes, where: str
    ) -> None:
        kept = value if len(items) < KEPT_MAX else None
        item = Item(identity=identity, fingerprint=fingerprint, index=index, value=kept, where=where)
        items.setdefault(identity, []).append(item)


def fingerprint_of(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, Any]]) -> int:
    """A 128-bit hash of all of a record but the trace it carries, which is of one run and not of the history."""
    parts = [key or b"", value or b""]
    for name, content in headers:
        if name != TRACEPARENT:
            parts += (name.encode(), content)
    return xxh3_128_intdigest(b"\0".join(parts))
