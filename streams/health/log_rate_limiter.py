"""Log rate limiting: of each message only the first few in a minute are shown, so an outage stays readable."""

import logging
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

SHOWN: Final = 3
"""Of one message for one reason, in WINDOW_S: enough to see which shards are concerned."""
WINDOW_S: Final = 60.0
REASONS: Final = 10
"""Of one message in WINDOW_S: an outage that turns into another has a few; ids without a digit have no end."""
WITH_DIGITS: Final = re.compile(r"\S*\d\S*")
"""Words of an argument that are a number, an address or a name made of either: they tell no reason from another."""


@dataclass(slots=True)
class _Window:
    began_s: float
    shown: Counter[str] = field(default_factory=Counter)  # by reason
    left_out: int = 0


class LogRateLimiter(logging.Filter):
    """Lets SHOWN records of each message and reason through in a minute; the next one says how many were left out.

    Attach it to a handler, so that it sees what every logger says. A message is its logger and its text before
    arguments are put in; its reason, the arguments that are text or an error, without their numbers. So a Redis that
    was full and is empty now is said, however often "full" was said before. An exception's traceback is never left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[tuple[str, str], _Window] = {}  # bounded by the messages there are in the code
        self._lock = Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; adds the number left out to its text."""
        if record.exc_info is not None or record.levelno < logging.WARNING:
            return True
        now_s, reason = time.monotonic(), _reason(record.args)
        with self._lock:
            window = self._windows.setdefault((record.name, str(record.msg)), _Window(now_s))
            left_out = 0
            if now_s - window.began_s >= WINDOW_S:
                left_out = window.left_out
                window.began_s, window.shown, window.left_out = now_s, Counter(), 0
            known = reason in window.shown or len(window.shown) < REASONS
            if not known or window.shown[reason] >= SHOWN:
                window.left_out += 1
                return False
            window.shown[reason] += 1
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} like it since)"
            record.args = None
        return True


def _reason(arguments: object) -> str:
    """The words of a record's arguments: what differs from one shard, address or offset to the next is left out."""
    texts = arguments if isinstance(arguments, tuple) else ()
    return " ".join(WITH_DIGITS.sub("", str(each)) for each in texts if isinstance(each, str | BaseException))
