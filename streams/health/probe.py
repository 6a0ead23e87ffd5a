"""A question asked again and again in a thread of its own, so that one that hangs holds nobody up."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from segflow.streams.runtime.error_reason import reason

log = logging.getLogger(__name__)
AnswerT = TypeVar("AnswerT")
ANSWER_S: Final = 3
"""A server that takes longer to answer is down as far as readiness goes."""
SILENT_S: Final = 15.0
"""A question still open then counts as not answered; every client used here gives up long before."""


class Probe(threading.Thread, Generic[AnswerT]):
    """Asks `ask` every `every_s` seconds; keeps the last answer, and what is wrong where there was none.

    Args:
        name: of whom is asked, for people: "Kafka".
        ask: may block, within a bound of its own, and may raise.
        every_s: seconds between two questions.
        level: of the log, for what there is to say of an outage.
    """

    def __init__(self, name: str, ask: Callable[[], AnswerT], every_s: float, *, level: int = logging.WARNING) -> None:
        super().__init__(name=f"probe-{name}", daemon=True)
        self.asked = name
        self.answer: AnswerT | None = None  # the last there was
        self.answered_s = time.monotonic()  # when, or when the probe was made
        self._problem = "not asked yet"  # empty: the last question was answered
        self._ask = ask
        self._every_s = every_s
        self._level = level
        self._ended = threading.Event()

    @property
    def problem(self) -> str:
        """The reason for which there is no answer; empty where there was one lately."""
        if not self._problem and self._silent_s() > SILENT_S:
            return f"no answer for {self._silent_s():.0f} s"
        return self._problem

    def up(self) -> float:
        """For the gauge: 1 where there is an answer."""
        return float(not self.problem)

    def _silent_s(self) -> float:
        return time.monotonic() - self.answered_s

    def run(self) -> None:
        """Ask until `end`."""
        while True:
            try:
                answer = self._ask()
            except Exception as error:  # noqa: BLE001 - whatever a client raises means: no answer
                why = reason(error)
                if not self._problem:
                    log.log(self._level, "%s does not answer: %s", self.asked, why)
                self._problem = why
            else:
                if self._problem and self.answer is not None:
                    log.log(self._level, "%s answers again, after %.0f s", self.asked, self._silent_s())
                self.answer = answer
                self.answered_s = time.monotonic()
                self._problem = ""
            if self._ended.wait(self._every_s):
                return

    def end(self) -> None:
        """Ask nothing more."""
        self._ended.set()


class Pulse:
    """Whether an event loop still runs what it is given, seen from other threads."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon  # the loop's call_soon_threadsafe
        self._asked_s = 0.0
        self._waiting = False

    def ask(self) -> None:
        """Give the loop something to do, unless the last is still undone."""
        if not self._waiting:
            self._asked_s = time.monotonic()
            self._waiting = True
            try:
                self._call_soon(self._answer)
            except RuntimeError:  # the loop is closed: the process is ending
                self._waiting = False

    @property
    def idle_s(self) -> float:
        """For how long the loop has left undone what it was given, seconds; 0 where it answered."""
        return time.monotonic() - self._asked_s if self._waiting else 0.0

    def _answer(self) -> None:
        self._waiting = False
