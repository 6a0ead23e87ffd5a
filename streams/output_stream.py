"""One partition of an output beside what the journal's commits give: both read once, side by side."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from streams.comparison import Comparison, fingerprint_of
from streams.messages import Message
from streams.partition_reader import PartitionReader


@dataclass(kw_only=True)
class OutputStream:
    """One output partition beside what should be in it."""

    reader: PartitionReader
    identify: Callable[[bytes], bytes]  # a published value's identity
    note: Callable[[Any], None] = lambda _: None  # told of every published record, in order
    start: int = 0
    stop: int = 0
    expired: int = 0
    comparison: Comparison = field(default_factory=Comparison)
    _slices: AsyncIterator[list[Any]] = field(init=False)
    _held: deque[Any] = field(default_factory=deque)
    _anchors: frozenset[bytes] | None = None  # the oldest there are, while older ones are still expected

    async def open(self) -> None:
        """Find where it begins and ends; a beginning that was cut is waited for."""
        self.start, self.stop = await self.reader.first(), await self.reader.settled_end()
        self._slices = self.reader.slices(self.start, self.stop)
        if self.cut and await self._more():
            self._anchors = frozenset(self._identity(record) for record in self._held)

    @property
    def cut(self) -> bool:
        """Whether retention has cut it."""
        return self.start > 0

    async def expect(self, identity: bytes, message: Message, where: str) -> None:
        """The next record that should be there."""
        if self._anchors is not None:
            if identity not in self._anchors:
                self.expired += 1
                return
            self._anchors = None
        await self._take_one()
        print_ = fingerprint_of(message.key, message.value, message.headers)
        self.comparison.expect(identity, print_, message.value, where)

    async def rest(self) -> None:
        """All that is still there."""
        while self._held or await self._more():
            await self._take_one()

    async def _take_one(self) -> None:
        if not self._held and not await self._more():
            return
        record = self._held.popleft()
        self.note(record)
        print_ = fingerprint_of(record.key, record.value, record.headers)
        self.comparison.find(self._identity(record), print_, record.value or b"", f"offset {record.offset}")

    async def _more(self) -> bool:
        async for records in self._slices:
            self._held.extend(records)
            return True
        return False

    def _identity(self, record: Any) -> bytes:
        try:
            return self.identify(record.value or b"")
        except msgspec.MsgspecError:
            return b"offset %d" % record.offset  # none of ours
