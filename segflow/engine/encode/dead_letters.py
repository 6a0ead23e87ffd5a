"""Dead letters: records that cannot be used, each kept with its reason."""

from base64 import b64encode
from hashlib import sha256
from typing import Any, Final

from segflow.engine.columns.events import HANDOVER, INTERACTIONS
from segflow.engine.columns.messages import Message
from segflow.engine.columns.oversized import OversizedBatch
from segflow.engine.decode.merge_inputs import OrderedInputs
from segflow.schemas.change import DeadLetter
from segflow.schemas.connection_settings import KafkaTopics

DEAD_VALUE_BYTES: Final = 65_536
"""The most raw bytes of a record in its dead letter: the size of the largest record that is accepted by default."""

DEAD_KEY_BYTES: Final = 1024
"""The most bytes of a record's key in its dead letter, and in the letter's own key: as many as the longest customer_id
has, 256 characters of four bytes. With a key of a megabyte Kafka would refuse the letter for ever."""

REPLAYED: Final = "replayed"
"""Header of a mark. That is a record without a value, in the partition of a dead letter, with the letter's offset in
this header: `segflow dead-letters --replay` has sent that record again. The record sent again has the header, too, with
the place of its dead letter."""


def replayed_offset(record: Any) -> int | None:
    """The offset of the dead letter that a record of the topic marks, None where it is no mark."""
    if record.value:
        return None
    for name, content in record.headers:
        if name == REPLAYED and content.isdigit():
            return int(content)
    return None


def dead_letters(topics: KafkaTopics, shard: int, merged: OrderedInputs) -> list[Message]:
    """One dead letter a record of the shard's inputs that cannot be used, in their order."""
    letters = []
    for row, why in sorted(merged.chunk.unusable.items()):
        key, value = merged.chunk.keys[row], merged.chunk.values[row]
        topic = topics.interactions if merged.sides[row] == INTERACTIONS else topics.purchases
        partition, offset = shard, int(merged.chunk.offsets[row])
        if merged.sides[row] == HANDOVER:
            source = merged.chunk.merge_messages[row]
            topic, partition, offset = source.topic, source.partition, source.offset
        last = None
        if isinstance(value, OversizedBatch):
            offset, last, value = value.first, value.last, None
        letter = DeadLetter(
            reason=why.reason,
            kind=why.kind,
            topic=topic,
            partition=partition,
            offset=offset,
            last_offset=last,
            key=_beginning(key, DEAD_KEY_BYTES),
            value=_beginning(value, DEAD_VALUE_BYTES),
            cut=value is not None and len(value) > DEAD_VALUE_BYTES,
            **_whole("key", key, DEAD_KEY_BYTES),
            **_whole("value", value, DEAD_VALUE_BYTES),
        )
        headers = [("reason", why.kind.encode()), ("topic", topic.encode())]
        content = letter.model_dump_json().encode()
        letters.append(Message(key=(key or b"")[:DEAD_KEY_BYTES], value=content, headers=headers))
    return letters


def _beginning(content: bytes | None, most: int) -> str | None:
    return None if content is None else b64encode(content[:most]).decode()


def _whole(name: str, content: bytes | None, most: int) -> dict[str, Any]:
    """Length and hash of the whole of a field that was cut: they tell it from another with the same beginning."""
    if content is None or len(content) <= most:
        return {}
    return {f"{name}_bytes": len(content), f"{name}_sha256": sha256(content).hexdigest()}
