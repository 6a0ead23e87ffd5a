"""C's allocator, told to keep what a batch gives back for the next one."""

import ctypes
from typing import Final

import pyarrow as pa

M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3), from glibc's malloc.h."""
KEPT_BYTES: Final = 1 << 30
"""Far above what a batch takes: columns of 8192 customers and their changes are tens of megabytes each."""


def keep_freed_memory() -> None:
    """Let numpy, Arrow and Python take their columns from one heap that does not shrink.

    By default each large column is a mapping of its own, given back when it dies; the next batch then pays for every
    page anew, up to half of its time (docs/decisions/060). Where there is no mallopt, as with musl, nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
