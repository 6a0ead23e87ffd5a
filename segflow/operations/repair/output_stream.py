"""One partition of an output beside what the journal's commits give: both read once, side by side."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from segflow.engine.columns.messages import Message
from segflow.operations.repair.comparison import Comparison, fingerprint_of
from segflow.streams.kafka.partition_reader import PartitionReader

Content = TypeVar("Content")


@dataclass(kw_only=True)
class OutputStream(Generic[Content]):
    """One output partition beside what should be in it.

    decode: a record's content, from its value. identity: what says which record it is. note: called with every
    published record's content and offset, in order. passes_over: records that no commit gives, and nothing wrong.
    """

    reader: PartitionReader
    decode: Callable[[bytes], Content]
    identity: Callable[[Content], bytes]
    note: Callable[[Content, int], None] = lambda *_: None
    passes_over: Callable[[Any], bool] = lambda _: False
    follows: bool = False  # the shard's customers had changes before, in other partitions (`segflow reshard`)
    start: int = 0
    stop: int = 0
    expired: int = 0
    comparison: Comparison = field(default_factory=Comparison)
    _slices: AsyncIterator[list[Any]] = field(init=False)
    _held: deque[Any] = field(default_factory=deque)
    _anchors: frozenset[bytes] | None = None  # the oldest there are, while older ones are still expected

    async def open(self, transaction_timeout_s: float) -> None:
        """Find where it begins and ends; a beginning that was cut is waited for.

        Raises:
            UsageError: see PartitionReader.settled_end.
        """
        self.start, self.stop = await self.reader.first(), await self.reader.settled_end(transaction_timeout_s)
        self._slices = self.reader.slices(self.start, self.stop)
        if self.cut:
            while not self._held and await self._more():
                pass
            self._anchors = frozenset(self._read(record)[0] for record in self._held) or None

    @property
    def cut(self) -> bool:
        """Whether retention has cut it, or its customers' changes begin elsewhere."""
        return self.start > 0 or self.follows

    async def expect(self, messages: Sequence[tuple[bytes, Message]], where: str) -> None:
        """The next records that should be there, each with its identity; as many published ones are read."""
        while len(self._held) < len(messages) and await self._more():
            pass
        for identity, message in messages:
            if self._anchors is not None:
                if identity not in self._anchors:
                    self.expired += 1
                    continue
                self._anchors = None
            if self._held:
                self._find(self._held.popleft())
            print_ = fingerprint_of(message.key, message.value, message.headers)
            self.comparison.expect(identity, print_, message.value, where)

    async def rest(self) -> None:
        """All that is still there."""
        while self._held or await self._more():
            while self._held:
                self._find(self._held.popleft())

    def _find(self, record: Any) -> None:
        identity, content = self._read(record)
        if content is not None:
            self.note(content, record.offset)
        print_ = fingerprint_of(record.key, record.value, record.headers)
        self.comparison.find(identity, print_, record.value or b"", f"offset {record.offset}")

    async def _more(self) -> bool:
        async for records in self._slices:
            self._held.extend(record for record in records if not self.passes_over(record))
            return True
        return False

    def _read(self, record: Any) -> tuple[bytes, Content | None]:
        """A published record's identity and content; None: it is none of ours."""
        try:
            content = self.decode(record.value or b"")
        except msgspec.MsgspecError:
            return b"offset %d" % record.offset, None
        return self.identity(content), content
