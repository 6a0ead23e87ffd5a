"""Whether a shard's inputs hold what its state needs next; where not, the choice a person has."""

from typing import Final

from schemas.settings import Settings
from state.head import Head

ROLES: Final = ("purchases", "interactions")


def problems(
    settings: Settings,
    partition: int,
    head: Head,
    topic_ids: tuple[str, str],
    first: tuple[int, int],
    end: tuple[int, int],
) -> dict[str, str]:
    """What is wrong with each input, by role; those that are sound are left out.

    Args:
        settings: the topics' names.
        partition: the shard.
        head: where the state stands.
        topic_ids: of the topics there are, as all that follows: (purchases, interactions).
        first: the oldest offset kept.
        end: the offset after the last record.

    Returns:
        Messages that say what happened and which `segflow reset` goes on from it.
    """
    found = {}
    for side, (role, position) in enumerate(zip(ROLES, (head.purchases, head.interactions), strict=True)):
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
    return found
