"""Python's cycle collector, told that a batch makes many objects and no cycles."""

import gc
from typing import Final

THRESHOLDS: Final = (200_000, 20, 100)
"""A batch allocates some hundred thousand tuples that die with it; at the default of 700 the collector looks at them
again and again for a third of the time."""


def calm_collector() -> None:
    """Leave what is loaded so far alone for good, and look for cycles seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
