"""Log rate limiting: of each message only the first few in a minute are shown, so an outage stays readable."""

import logging
import time
from dataclasses import dataclass
from threading import Lock
from typing import Final

SHOWN: Final = 3
"""Of one message, whatever its arguments, in WINDOW_S: enough to see which shards and errors are concerned."""
WINDOW_S: Final = 60.0


@dataclass(slots=True)
class _Window:
    began_s: float
    shown: int = 0
    left_out: int = 0


class LogRateLimiter(logging.Filter):
    """Lets SHOWN records of each message through in a minute; the next one says how many were left out.

    Attach it to a handler, so that it sees what every logger says. Messages are told apart by their logger and their
    text before arguments are put in; an exception's traceback is never left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._windows: dict[tuple[str, str], _Window] = {}  # bounded by the messages there are in the code
        self._lock = Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; adds the number left out to its text."""
        if record.exc_info is not None or record.levelno < logging.WARNING:
            return True
        now_s = time.monotonic()
        with self._lock:
            window = self._windows.setdefault((record.name, str(record.msg)), _Window(now_s))
            left_out = 0
            if now_s - window.began_s >= WINDOW_S:
                left_out = window.left_out
                window.began_s, window.shown, window.left_out = now_s, 0, 0
            if window.shown >= SHOWN:
                window.left_out += 1
                return False
            window.shown += 1
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} like it since)"
            record.args = None
        return True
