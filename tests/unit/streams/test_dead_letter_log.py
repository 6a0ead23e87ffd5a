"""Records that cannot be used are told: at once, then once a minute, and among the warnings of /ready."""

import json
import logging

import pytest

from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Settings
from segflow.streams.health.dead_letter_log import EVERY_S, DeadLetterLog
from tests.support.events import event


class Clock:
    """Seconds, moved by hand."""

    now_s = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now_s


def told(watched: DeadLetterLog, lines: list[bytes]) -> None:
    """One commit that read these lines."""
    for result in FileRun(Settings()).feed(lines, 7):
        watched.committed(result, len(lines))


GOOD, BAD = json.dumps(event(1, 0)).encode(), b"{"


def test_the_first_is_logged_at_once_and_a_flood_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """With reasons and where the first is."""
    clock = Clock()
    watched = DeadLetterLog(clock)
    with caplog.at_level(logging.WARNING):
        told(watched, [GOOD, BAD])
        for _ in range(50):
            clock.now_s += 1
            told(watched, [BAD, BAD])
        assert len(caplog.messages) == 1
        assert "1 records could not be used and are dead letters: not_json 1. The first: " in caplog.messages[0]
        assert "offset 8: is not JSON" in caplog.messages[0]
        clock.now_s += EVERY_S
        told(watched, [GOOD])
    assert len(caplog.messages) == 2
    assert "100 records could not be used and are dead letters: not_json 100" in caplog.messages[1]


def test_a_warning_stands_as_long_as_it_is_about_the_latest_records() -> None:
    """Two periods later nothing is said any more."""
    clock = Clock()
    watched = DeadLetterLog(clock)
    told(watched, [GOOD])
    assert watched.warnings() == []
    told(watched, [GOOD, BAD, BAD])
    assert watched.warnings() == ["2 of the latest 4 records could not be used: not_json 2"]
    clock.now_s += EVERY_S
    assert watched.warnings() == ["2 of the latest 4 records could not be used: not_json 2"]
    clock.now_s += EVERY_S
    assert watched.warnings() == []


def test_the_share_is_that_of_the_latest_records() -> None:
    """Of one to two minutes; nothing read is nothing bad."""
    clock = Clock()
    watched = DeadLetterLog(clock)
    assert watched.share() == 0
    told(watched, [GOOD, BAD, BAD, GOOD])
    assert watched.share() == 0.5
    clock.now_s += EVERY_S
    told(watched, [GOOD] * 4)
    assert watched.share() == 0.25
    clock.now_s += 2 * EVERY_S
    assert watched.share() == 0
