"""The walk of a piece of work through the code: which functions are called, from where, and in which order."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = ("segflow", "schemas", "state", "streams")
"""Where the product's code is."""


@dataclass(frozen=True)
class Call:
    """A call of a function of this repository."""

    file: str  # within the repository
    function: str
    caller: str  # the file of the nearest caller in this repository; empty: the event loop, or a test

    def __str__(self) -> str:
        return f"{self.file}:{self.function}, from {self.caller or 'outside'}"


@dataclass
class Walk:
    """Calls in their order. A coroutine counts when it is called, and not again each time it goes on."""

    calls: list[Call] = field(default_factory=list)
    _frames: dict[int, FrameType] = field(default_factory=dict)  # kept, so that no other gets the same id

    @contextmanager
    def taken(self, *under_way: "asyncio.Task[Any]") -> Iterator[None]:
        """Note what this thread calls within the block; `under_way`: what was called before and goes on."""
        for each in under_way:
            self._have_called(each.get_coro())
        sys.setprofile(self._note)
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Note nothing more; called in the same thread."""
        sys.setprofile(None)

    def into(self, *files: str) -> list[Call]:
        """The calls of functions of these files from outside of them."""
        return [each for each in self.calls if each.file in files and each.caller not in files]

    def __str__(self) -> str:
        return "\n".join(map(str, self.calls))

    def _have_called(self, coroutine: Any) -> None:
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            self._frames[id(frame)] = frame
            coroutine = coroutine.cr_await

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or id(frame) in self._frames:
            return
        file = _file(frame)
        if not file:
            return
        self._frames[id(frame)] = frame
        caller = frame.f_back
        while caller is not None and not _file(caller):
            caller = caller.f_back
        self.calls.append(Call(file, frame.f_code.co_qualname, "" if caller is None else _file(caller)))


def _file(frame: FrameType) -> str:
    """The function's file within the repository; empty for tests and for others' code."""
    return _file_of(frame.f_code.co_filename)


@cache
def _file_of(name: str) -> str:
    path = Path(name).resolve()
    parts = path.relative_to(ROOT).parts if path.is_relative_to(ROOT) else ()
    return "/".join(parts) if parts and parts[0] in ROOMS else ""
