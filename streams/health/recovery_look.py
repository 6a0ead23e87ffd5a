"""The look, now and then, at whether the shards of a worker could be rebuilt if Redis were lost."""

import logging
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Final

from segflow.schemas.settings import Settings
from segflow.streams.journal.obstacles import obstacles
from segflow.streams.runtime.shard_names import shard_names

log = logging.getLogger(__name__)

SAME_EVERY_S: Final = 20.0
"""So it is said within half a minute that an input was cut. A look is a few requests and a record a shard, and none for
shards that the state topic has whole."""


class RecoveryLook:
    """Looks at the oldest records of journal and inputs, for shards that are not whole in the state topic.

    Called from a probe's thread.

    Args:
        settings: where the topics are.
        topic_ids: of what shards read.
        partitions: the shards held.
        copied: of them, those that the state topic has whole.
    """

    def __init__(
        self,
        settings: Settings,
        topic_ids: tuple[str, ...],
        partitions: Callable[[], Iterable[int]],
        copied: Callable[[], Iterable[int]] = tuple,
    ) -> None:
        self._copied = copied
        self._settings = settings
        self._topic_ids = topic_ids
        self._partitions = partitions
        self._told: set[str] = set()
        self._found: dict[int, str] = {}  # at the last look
        self._shards: set[int] = set()  # that were looked at then
        self._whole: set[int] = set()  # that the state topic had then
        self._looked_s = 0.0  # when, of monotonic

    def __call__(self) -> dict[int, str]:
        """See `obstacles`; what is new among them goes to the log.

        Raises:
            kafka.errors.KafkaError: Kafka does not answer.
        """
        whole = set(self._copied())
        shards = set(self._partitions()) - whole
        if (shards, whole) == (self._shards, self._whole) and monotonic() - self._looked_s < SAME_EVERY_S:
            return self._found
        found = obstacles(self._settings, self._topic_ids, shards) if shards else {}
        self._found = found = found | dict.fromkeys(whole, "")
        self._shards, self._whole, self._looked_s = shards, whole, monotonic()
        lines = only_copies(found)
        for line in lines:
            if line not in self._told:
                log.warning("%s", line)
        self._told = set(lines)
        return found


def only_copies(found: Mapping[int, str]) -> list[str]:
    """Warnings about shards of which Redis is the only copy, one for each reason."""
    by_why: dict[str, list[int]] = {}
    for number, why in found.items():
        if why:
            by_why.setdefault(why, []).append(number)
    return [f"Redis is the only copy of {shard_names(shards)}: {why}" for why, shards in by_why.items()]
