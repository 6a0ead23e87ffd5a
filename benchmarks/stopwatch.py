"""Times of functions, taken around their calls: the code that is timed knows nothing of it."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from time import perf_counter
from typing import Any, Final, NamedTuple
from unittest.mock import patch

Function = Callable[..., Any]


class Border(NamedTuple):
    """A function of a module or a class, under the name by which it is called, and the step its time counts for."""

    owner: object
    name: str
    step: str


REST: Final = "the rest"
"""The step of what the outermost borders take beyond all inside them."""


@dataclass(slots=True)
class Stopwatch:
    """Seconds by step. What a function takes inside another counts once: for its own step, not for the outer one's.

    For work of which one piece is under way at a time, in whatever thread; what a coroutine waits for counts as its
    own.
    """

    _spent_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _inside_s: list[float] = field(default_factory=list)  # of each function under way: what those inside it took

    @contextmanager
    def timing(self, borders: Sequence[Border]) -> Iterator[None]:
        """While the block lasts, each of the functions is replaced by one that is timed and does the same."""
        with ExitStack() as replaced:
            for owner, name, step in borders:
                replaced.enter_context(patch.object(owner, name, self._timed(step, getattr(owner, name))))
            yield

    def take(self) -> dict[str, float]:
        """The seconds spent since the last call, by function."""
        spent_s, self._spent_s = dict(self._spent_s), defaultdict(float)
        return spent_s

    def _timed(self, step: str, function: Function) -> Function:
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def awaited(*values: Any, **named: Any) -> Any:
                with self._step(step):
                    return await function(*values, **named)

            return awaited

        @wraps(function)
        def called(*values: Any, **named: Any) -> Any:
            with self._step(step):
                return function(*values, **named)

        return called

    @contextmanager
    def _step(self, step: str) -> Iterator[None]:
        self._inside_s.append(0.0)
        started_s = perf_counter()
        try:
            yield
        finally:
            took_s = perf_counter() - started_s
            self._spent_s[step] += took_s - self._inside_s.pop()
            if self._inside_s:
                self._inside_s[-1] += took_s
