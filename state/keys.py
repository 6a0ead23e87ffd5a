"""The names of every Redis key. All of a shard's share the hash tag `{partition}`, so they live in one cluster slot."""

from dataclasses import dataclass


def installation(prefix: str) -> str:
    """The one key beside the shards: JSON of what holds for all of them (`partitions`)."""
    return f"{prefix}:installation"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of the shard `partition` under the settings' `redis.prefix`."""

    prefix: str
    partition: int

    @property
    def shard(self) -> str:
        """The prefix of every key of the shard."""
        return f"{self.prefix}:{{{self.partition}}}:"

    @staticmethod
    def pattern(start: str) -> str:
        """The pattern for SCAN that matches every key that begins with `start`."""
        return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in start) + "*"

    @property
    def head(self) -> str:
        """String: the shard's head (state/head.py)."""
        return self.shard + "head"

    @property
    def absent(self) -> str:
        """Nothing: no key has this name. Asking for it fails while a cluster moves the shard to another server."""
        return self.shard + "never-there"

    @property
    def parked(self) -> str:
        """String: why the shard is parked (state/parking.py); only while it is."""
        return self.shard + "parked"

    @property
    def timers(self) -> str:
        """Sorted set: customer id by deadline, microseconds."""
        return self.shard + "timers"

    @property
    def erased(self) -> str:
        """Hash: what stays of erased customers (state/erasure.py), by pseudonym."""
        return self.shard + "erased"

    @property
    def erased_at(self) -> str:
        """Sorted set: the same pseudonyms by time of the erase, microseconds."""
        return self.shard + "erased-at"

    @property
    def counts(self) -> str:
        """Hash: customers by `dimension:label`."""
        return self.shard + "counts"

    @property
    def merged_into(self) -> str:
        """Hash, of shard 0: whom each id became that became another customer's."""
        return self.shard + "became"

    def merged_from(self, customer_id: str) -> str:
        """Hash, of shard 0: the ids that became this one, without values."""
        return self.shard + "m:" + customer_id

    def record(self, customer_id: str) -> str:
        """String: one customer's record (state/record.py)."""
        return self.shard + "c:" + customer_id

    def page(self, number: int) -> str:
        """List: the ids of one page of the directory, in the order they entered."""
        return f"{self.shard}dir:{number}"
