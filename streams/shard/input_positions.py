"""Checks that a shard's inputs still hold the records its state needs next; otherwise it names the possible resets."""

import asyncio
from contextlib import suppress
from typing import Final

import msgspec
from kafka.errors import KafkaError

from segflow.engine.columns.events import HANDOVER
from segflow.schemas.settings import Settings
from segflow.state.head import Head, Position
from segflow.streams.kafka import topics
from segflow.streams.kafka.topic_kinds import READ

ROLES: Final = READ
NOWHERE: Final = (None,) * len(ROLES)


class InputLostError(Exception):
    """An input does not hold what comes next; the message has the commands to choose from."""


async def starting_head(
    settings: Settings,
    partition: int,
    head: Head,
    topic_ids: tuple[str, ...],
    first: tuple[int, ...],
    end: tuple[int, ...],
    diverged: tuple[int | None, ...] = NOWHERE,
) -> Head:
    """The head to start with; its positions are those of the inputs' first records where it has none yet.

    Args: see `position_problems`; `topic_ids` as they were when the worker started.

    Raises:
        InputLostError: see there.
    """
    if not head.sequence and not head.purchases.topic_id:
        starts = (Position(topic_id=each, offset=offset) for each, offset in zip(topic_ids, first, strict=True))
        return msgspec.structs.replace(head, **dict(zip(ROLES, starts, strict=True)))
    if head.handover == Position():  # a version before shards handed anything over wrote it
        head = msgspec.structs.replace(head, handover=Position(topic_id=topic_ids[HANDOVER], offset=first[HANDOVER]))
    wrong = position_problems(settings, partition, head, topic_ids, first, end, diverged)
    if wrong:
        with suppress(KafkaError):  # an input may have been recreated since then: then that is what to say
            ids = (await asyncio.to_thread(topics.check, settings)).input_ids
            wrong = position_problems(settings, partition, head, ids, first, end, diverged) or wrong
        raise InputLostError("\n".join(wrong.values()))
    return head


def position_problems(
    settings: Settings,
    partition: int,
    head: Head,
    topic_ids: tuple[str, ...],
    first: tuple[int, ...],
    end: tuple[int, ...],
    diverged: tuple[int | None, ...] = NOWHERE,
) -> dict[str, str]:
    """The problem with each input, by role; sound ones are left out.

    Args:
        settings: the topics' names.
        partition: the shard.
        head: where the state stands.
        topic_ids: of the topics there are, as all that follows: (purchases, interactions, handover).
        first: the oldest offset kept.
        end: the offset after the last record.
        diverged: from where on it no longer has what was read; None: it has all.

    Returns:
        Messages that say what happened and which `segflow reset` goes on from it.
    """
    found = {}
    for side, (role, position) in enumerate(zip(ROLES, head.positions, strict=True)):
        topic = getattr(settings.kafka.topics, role)
        where = f"shard {partition}: {topic}"
        how = f"segflow reset --shard {partition} --input {role} --to"
        if position.topic_id != topic_ids[side]:
            found[role] = (
                f"{where} was deleted and made again; the state belongs to the old one, read to {position.offset}. "
                f"To go on with the new topic, type `{how} earliest` (all it has), `{how} latest` (only what comes) "
                f"or `{how} OFFSET` ({first[side]} to {end[side]})"
            )
        elif position.offset < first[side]:
            found[role] = (
                f"{where} was cut to offset {first[side]} by retention; the state needs {position.offset}. "
                f"To go on without the {first[side] - position.offset} that are gone, type `{how} earliest`; to leave "
                f"out what is there, too, `{how} latest` or `{how} OFFSET` ({first[side]} to {end[side]})"
            )
        elif position.offset > end[side]:
            found[role] = (
                f"{where} ends at {end[side]}, before the state's offset {position.offset}: it has lost records that "
                f"were read. To go on with what comes next, type `{how} latest`; to read again what is there, "
                f"`{how} earliest` or `{how} OFFSET` ({first[side]} to {end[side]})"
            )
        elif (lost := diverged[side]) is not None:
            found[role] = (
                f"{where} has lost its records from offset {lost} on and taken others in their place; the state has "
                f"read the lost ones, up to {position.offset}, which stay counted. To read what stands there now, type "
                f"`{how} {max(lost, first[side])}`; to go on behind it, `{how} {position.offset}` or `{how} latest`"
            )
    return found


def describe_move(old: Position, new: Position, first: int, end: int) -> str:
    """The effect of moving an input's position from `old` to `new`, for a person; `first` and `end` as above."""
    if old.topic_id != new.topic_id:
        skipped = f"; its first {new.offset - first} offsets are skipped" if new.offset > first else ""
        return f"goes on with the new topic at offset {new.offset}{skipped}"
    if new.offset > old.offset:
        gone = max(0, min(new.offset, first) - old.offset)
        return (
            f"skips offsets {old.offset} to {new.offset - 1}, {new.offset - old.offset} in all, {gone} of them gone "
            "already: their events never count"
        )
    if new.offset < old.offset:
        again = max(0, min(old.offset, end) - new.offset)
        return (
            f"goes back from {old.offset} to {new.offset}; {again} offsets are read again: an event whose id its "
            "customer still remembers counts once, any other twice"
        )
    return f"stays at {new.offset}"
