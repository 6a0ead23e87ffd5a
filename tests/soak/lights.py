"""Holds /ready against the journal: no shard may stand still while every worker says that all is well."""

import threading
import time
from typing import Any, Final, Self

from tests.soak.observer import Observer
from tests.support.health import Health

LOOK_S: Final = 1.0
STANDS_S: Final = 60.0
"""A shard without a commit for so long stands still: the stream brings each some records every second."""


class Lights:
    """Asks every worker's /ready each second, in a thread of its own. A context manager.

    Args:
        observer: who knows when each shard committed last.
        ports: of the workers' pages.
    """

    def __init__(self, observer: Observer, ports: list[int]) -> None:
        self._observer = observer
        self._pages = [Health(port) for port in ports]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.false_greens: list[str] = []  # each time a shard stood still under green lights

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        clean_since_s = time.monotonic()
        told: set[int] = set()
        while not self._ended.wait(LOOK_S):
            if not all(_is_clean(page.verdict("ready")) for page in self._pages):
                clean_since_s = time.monotonic()
            for shard, moved_s in self._observer.moved_s.items():
                since_s = max(moved_s, clean_since_s)
                if time.monotonic() - since_s < STANDS_S:
                    told.discard(shard)
                elif shard not in told:
                    told.add(shard)
                    self.false_greens.append(f"shard {shard} stood still for {STANDS_S:g} s while /ready was clean")


def _is_clean(verdict: dict[str, Any]) -> bool:
    """Whether a worker answers, is ready and warns of nothing."""
    return bool(verdict.get("ready")) and not verdict.get("warnings")
