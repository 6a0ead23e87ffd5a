"""What the consumer thread leaves out of Faust's."""

import logging
from types import SimpleNamespace

import pytest
from faust.types import TP

from segflow.streams.consume.transport import ConsumerThread


def test_a_partition_that_its_shard_has_not_opened_is_no_error_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parked shard's is not fetched on purpose; its reason is in the log already. Faust would say so every 7 s."""
    unfetched = SimpleNamespace(active=True, state_value=lambda _place: SimpleNamespace(timestamp=None))
    client = SimpleNamespace(_fetcher=SimpleNamespace(_subscriptions=SimpleNamespace()))
    client._fetcher._subscriptions.subscription = SimpleNamespace(assignment=unfetched)
    thread = ConsumerThread.__new__(ConsumerThread)
    monkeypatch.setattr(thread, "_ensure_consumer", lambda: client, raising=False)
    thread.time_started, thread.tp_fetch_request_timeout_secs = 0.0, 1.0
    thread.log = SimpleNamespace(error=logging.getLogger("faust").error)
    thread.verify_event_path(3600.0, TP("in", 0))
    assert caplog.text == ""
