"""Python's cycle collector and C's allocator, tuned for batches: many objects at once, which die together."""

import ctypes
import gc
from typing import Final

import pyarrow as pa

THRESHOLDS: Final = (200_000, 20, 100)
"""Of the cycle collector. A batch allocates some hundred thousand tuples that die with it; at the default of 700 the
collector looks at them again and again for a third of the time."""
M_TRIM_THRESHOLD: Final = -1
M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3), from glibc's malloc.h."""
KEPT_BYTES: Final = 1 << 30
"""Far above what a batch takes: columns of 8192 customers and their changes are tens of megabytes each."""


def tune_process_memory() -> None:
    """Collect cycles seldom, and keep the memory that a batch gives back for the next one. Once a process.

    What is loaded so far is left out of the collector's looks for good: a batch makes many objects and no cycles.

    numpy, Arrow and Python then take their columns from one heap that does not shrink. By default each large column is
    a mapping of its own, given back when it dies; the next batch then pays for every page again, up to half of its time
    (docs/decisions/060). Where there is no mallopt, as with musl, the heap is left as it is.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    pa.set_memory_pool(pa.system_memory_pool())
