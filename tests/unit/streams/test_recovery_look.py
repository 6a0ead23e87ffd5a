"""How soon a worker says that Redis has become the only copy of a shard."""

import pytest

from segflow.schemas.settings import Settings
from segflow.streams.health import recovery_look
from segflow.streams.health.recovery_look import RecoveryLook
from segflow.streams.health.watch import RECOVERY_EVERY_S

SOON_S = 30.0


def test_that_an_input_was_cut_is_seen_within_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the shards it has had all the while; and it asks Kafka no more often than it must."""
    now_s, asked = 0.0, 0
    found = {0: ""}

    def obstacles(*_: object) -> dict[int, str]:
        nonlocal asked
        asked += 1
        return dict(found)

    monkeypatch.setattr(recovery_look, "obstacles", obstacles)
    monkeypatch.setattr(recovery_look, "monotonic", lambda: now_s)
    look = RecoveryLook(Settings(), ("", "", ""), lambda: [0])
    assert look() == {0: ""}
    found[0] = "purchases begins at offset 5"
    while not look()[0]:
        now_s += RECOVERY_EVERY_S
    assert now_s <= SOON_S
    assert asked == 2
