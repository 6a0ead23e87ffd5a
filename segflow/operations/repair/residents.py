"""Customers by shard: whoever stands in two of them got an event on a wrong partition."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(slots=True)
class Residents:
    """The customers of the shards seen so far, each as a hash of 64 bits: 8 bytes a customer."""

    _shards: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)

    def add(self, shard: int, customers: Collection[str]) -> list[tuple[str, int]]:
        """Take a shard's customers; those who stand in an earlier shard, too, each with that shard."""
        hashes = np.fromiter(map(hash, customers), dtype=np.int64, count=len(customers))
        found = [
            (customer, other)
            for other, theirs in self._shards.items()
            for customer, twice in zip(customers, np.isin(hashes, theirs).tolist(), strict=True)
            if twice
        ]
        self._shards[shard] = hashes
        return found
