"""Kafka records to be published, as columns: no Python object for each record."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, Self

from segflow.engine.columns import text, varint
from segflow.engine.columns.text import Text

Header = tuple[str, bytes]


class Message(NamedTuple):
    """One record to publish; an empty value is none: a tombstone, by which a compacted topic forgets the key."""

    key: bytes
    value: bytes
    headers: Sequence[Header] = ()


@dataclass(frozen=True, slots=True)
class Messages:
    """n records to publish, as columns of n pieces; iterating gives them one by one."""

    keys: Text
    values: Text
    headers: Text  # as a Kafka record has them: their number, then name and value, each behind its length

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Self:
        """Messages that were made one by one."""
        listed = list(messages)
        return cls(
            text.column([each.key for each in listed]),
            text.column([each.value for each in listed]),
            text.column([written(each.headers) for each in listed]),
        )

    @classmethod
    def join(cls, parts: Iterable[Self]) -> Self:
        """The messages of at least one part, one part after the other."""
        columns = zip(*((each.keys, each.values, each.headers) for each in parts), strict=True)
        return cls(*(text.end_to_end(column) for column in columns))

    def cut(self, ends: Sequence[int]) -> list[Self]:
        """The messages between each two of `ends`, without a copy."""
        columns = (self.keys, self.values, self.headers)
        return [
            type(self)(*(column.slice(start, stop - start) for column in columns)) for start, stop in pairwise(ends)
        ]

    def __len__(self) -> int:
        return len(self.keys)

    def lines(self) -> bytes:
        """The values, a line each."""
        return text.content(text.joined(self.values, b"\n")) if len(self) else b""

    def __iter__(self) -> Iterator[Message]:
        columns = (self.keys.to_pylist(), self.values.to_pylist(), self.headers.to_pylist())
        for key, value, headers in zip(*columns, strict=True):
            yield Message(key, value, _read(headers))


def written(headers: Sequence[Header]) -> bytes:
    """Headers as a Kafka record has them."""
    return varint.encode(len(headers)) + b"".join(header(*each) for each in headers)


def header(name: str, value: bytes) -> bytes:
    """One header."""
    return opening(name) + varint.encode(len(value)) + value


def opening(name: str) -> bytes:
    """The bytes of one header up to the size of its value: size and text of its name."""
    return varint.encode(len(name.encode())) + name.encode()


def _read(written_headers: bytes) -> list[Header]:
    count, at = varint.decode(written_headers, 0)
    headers = []
    for _ in range(count):
        size, at = varint.decode(written_headers, at)
        name, at = written_headers[at : at + size].decode(), at + size
        size, at = varint.decode(written_headers, at)
        headers.append((name, written_headers[at : at + size]))
        at += size
    return headers


NONE: Final = Messages.of(())
"""No message."""
