"""The records of the outputs as the audit reads them: their content, and what says which record each is."""

from typing import Any, Final

import msgspec

from segflow.engine.encode.dead_letters import replayed_offset
from segflow.operations.repair.chains import PublishedChange
from segflow.operations.repair.output_stream import OutputStream
from segflow.streams.kafka.partition_reader import PartitionReader


class PublishedLetter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The origin of a dead letter: the topic and offset of the record that could not be used."""

    topic: str
    offset: int


CHANGE: Final = msgspec.json.Decoder(PublishedChange)
LETTER: Final = msgspec.json.Decoder(PublishedLetter)


def changes_of(reader: PartitionReader) -> OutputStream[PublishedChange]:
    """A partition of the changes or of the alerts."""
    return OutputStream(reader=reader, decode=CHANGE.decode, identity=change_id)


def letters_of(reader: PartitionReader) -> OutputStream[PublishedLetter]:
    """A partition of the dead letters."""
    return OutputStream(reader=reader, decode=LETTER.decode, identity=letter_id, passes_over=_is_replay_mark)


def change_id(change: PublishedChange) -> bytes:
    """The identity of a change, and of an alert."""
    return change.change_id.encode()


def letter_id(letter: PublishedLetter) -> bytes:
    """The identity of a dead letter."""
    return f"{letter.topic} {letter.offset}".encode()


def _is_replay_mark(record: Any) -> bool:
    """`segflow dead-letters --replay` writes it, and no commit."""
    return replayed_offset(record) is not None
