"""The last row of each key, among rows that come one after the other."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

HASH_BYTES: Final = 16
"""128 bits: among ten million keys, two share a hash with a chance of 10^-25."""
PENDING_MIN: Final = 262_144
"""Rows that wait for the next look: 6 megabytes."""
ROW: Final = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<i8")])


class LatestRows:
    """Keeps of each key its hash and the number of its last row: 24 bytes, and some 90 while it looks."""

    def __init__(self) -> None:
        self.rows = 0
        self._known = np.empty(0, dtype=ROW)
        self._pending: list[npt.NDArray[np.void]] = []
        self._waiting = 0

    def add(self, keys: Iterable[bytes]) -> None:
        """The next rows' keys."""
        hashes = b"".join([blake2b(key, digest_size=HASH_BYTES).digest() for key in keys])
        found = np.frombuffer(hashes, dtype="<u8").reshape(-1, 2)
        rows = np.empty(len(found), dtype=ROW)
        rows["high"], rows["low"] = found[:, 0], found[:, 1]
        rows["row"] = np.arange(self.rows, self.rows + len(found))
        self.rows += len(found)
        self._pending.append(rows)
        self._waiting += len(rows)
        if self._waiting >= max(PENDING_MIN, len(self._known)):
            self._look()

    def are_latest(self) -> npt.NDArray[np.bool_]:
        """A mask of shape (rows,): the rows after which their key does not come again."""
        self._look()
        mask = np.zeros(self.rows, dtype=np.bool_)
        mask[self._known["row"]] = True
        return mask

    def _look(self) -> None:
        rows = np.concatenate([self._known, *self._pending])
        self._pending, self._waiting = [], 0
        rows = rows[np.lexsort((rows["row"], rows["low"], rows["high"]))]
        is_last = np.ones(len(rows), dtype=np.bool_)
        is_last[:-1] = (rows["high"][1:] != rows["high"][:-1]) | (rows["low"][1:] != rows["low"][:-1])
        self._known = rows[is_last]
