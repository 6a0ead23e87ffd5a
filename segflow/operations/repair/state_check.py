"""The state in Redis as part of an audit: compared once, when the replay stands at the commit that Redis stands at."""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

from segflow.operations.repair.findings import ShardAudit
from segflow.operations.repair.state_comparison import compare
from segflow.state.head import Head
from segflow.state.keys import Keys
from segflow.state.memory import MemoryStore
from segflow.state.redis import RedisStore
from segflow.state.redis_servers import RedisServers
from segflow.state.store import TornStateError

BEING_CHANGED: Final = "the state in Redis: a worker is changing it. Stop the workers to have it compared."


@dataclass(kw_only=True)
class StateCheck:
    """One shard's state in Redis beside the one that the replay builds in `memory`."""

    servers: RedisServers
    prefix: str
    partition: int
    memory: MemoryStore
    found: ShardAudit
    _head: Head | None = None  # as stored when the audit began
    _compared: bool = False

    def begin(self) -> None:
        """Note where Redis stands.

        Raises:
            redis.RedisError: Redis cannot be read.
        """
        with closing(self._store()) as store:
            try:
                self._head = store.head()
            except TornStateError as error:
                self._damaged(error)

    def look(self, head: Head) -> None:
        """Compare, if the memory, at `head`, stands where Redis does.

        Raises:
            redis.RedisError: Redis cannot be read.
        """
        if self._head is None or self._compared or head.sequence != self._head.sequence:
            return
        self._compared = True
        with closing(self._store()) as store:
            try:
                differences = compare(self.memory, store, self.servers.of(self._keys.head), self._keys)
                again = store.head()
            except TornStateError as error:
                self._damaged(error)
                return
        if again != self._head:
            self.found.unchecked.append(BEING_CHANGED)
            return
        self.found.state_differences = len(differences)
        self.found.report(f"state: {text}" for text in differences)

    def finish(self, *, whole: bool) -> None:
        """Say why nothing was compared, if so; `whole`: the memory has been brought to the last commit."""
        found, head = self.found, self._head
        if self._compared or (head is None and not found.commits):
            return
        if head is None:
            found.state_differences += 1
            found.problems.append("state: Redis holds nothing; a worker that acquires the shard restores it")
        elif not whole:
            found.unchecked.append("the state in Redis: the commits behind it could not be replayed")
        elif self._stored() != head:
            found.unchecked.append(BEING_CHANGED)
        elif head.sequence:
            found.state_differences += 1
            newest = (self.memory.head() or Head()).sequence
            found.problems.append(f"state: Redis is of commit {head.sequence}, Kafka ends at {newest}")

    def _damaged(self, error: TornStateError) -> None:
        """The content of Redis cannot be read as a shard's state."""
        self._compared = True
        self.found.state_differences += 1
        self.found.problems.append(f"state: {error}")

    def _stored(self) -> Head | None:
        with closing(self._store()) as store:
            return store.head()

    @property
    def _keys(self) -> Keys:
        return Keys(self.prefix, self.partition)

    def _store(self) -> RedisStore:
        return RedisStore(self.servers, self._keys)
