"""A commit's part of `segments.state`, and what its head says of it. Pure."""

from dataclasses import replace

import msgspec

from segflow.engine.columns.messages import NONE, Messages
from segflow.engine.commit.plan import Plan
from segflow.engine.encode.state_records import state_messages
from segflow.state.store import Write
from segflow.state.topic_layout import of_write
from segflow.streams.state_topic.filling import Filled


def state_of(write: Write, plan: Plan, filled: Filled | None, written_to: int | None) -> tuple[Write, Messages]:
    """The commit's writes to the store, and the same for the topic.

    Args:
        write: of the engine; its head says what the topic had before.
        plan: of the commit.
        filled: more of the state that goes to the topic with it.
        written_to: an offset of the topic before which all is committed; None: as the head says.
    """
    known = write.head.in_topic if filled is None else filled.in_topic
    if known is None:  # without transactions nothing of it goes there
        return write, NONE
    offset = known.offset if written_to is None else max(known.offset, written_to)
    in_topic = msgspec.structs.replace(known, offset=offset, at_us=plan.wall_us)
    head = msgspec.structs.replace(write.head, in_topic=in_topic)
    part = of_write(write, head)
    messages = state_messages(part) if filled is None else state_messages(filled.part, part)
    return replace(write, head=head), messages
