"""Dead letters: records that cannot be used, each kept with its reason."""

from base64 import b64encode
from typing import Any, Final

from segflow.engine.columns.events import HANDOVER, INTERACTIONS
from segflow.engine.columns.messages import Message
from segflow.engine.decode.merge_inputs import OrderedInputs
from segflow.schemas.change import DeadLetter
from segflow.schemas.connection_settings import KafkaTopics

DEAD_VALUE_BYTES: Final = 65_536
"""The most raw bytes of a record in its dead letter: the size of the largest record that is accepted by default."""


REPLAYED: Final = "replayed"
"""Header of a mark: a record without a value, in the partition of the dead letter whose offset it has, that says that
`segflow dead-letters --replay` has sent that record again. A record sent again has it, too, with where its dead letter
stands."""


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
        letter = DeadLetter(
            reason=why.reason,
            kind=why.kind,
            topic=topic,
            partition=partition,
            offset=offset,
            key=None if key is None else b64encode(key).decode(),
            value=None if value is None else b64encode(value[:DEAD_VALUE_BYTES]).decode(),
            cut=value is not None and len(value) > DEAD_VALUE_BYTES,
        )
        headers = [("reason", why.kind.encode()), ("topic", topic.encode())]
        letters.append(Message(key=key or b"", value=letter.model_dump_json().encode(), headers=headers))
    return letters
