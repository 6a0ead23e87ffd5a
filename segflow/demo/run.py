"""The demo itself: send the history, follow the changes until all have come, compare."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console

from segflow.demo.change_digest import ChangeDigest
from segflow.demo.dashboard import Dashboard
from segflow.demo.failure import DemoFailedError
from segflow.demo.history import CDNOW, History, send
from segflow.demo.reference import Reference, reference
from segflow.demo.servers import SHARDS, Servers, servers
from segflow.demo.summary import summary
from segflow.demo.view import Show, save_picture, view
from segflow.demo.worker_process import STOP_TIMEOUT_S
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.runtime.connections import kafka_errors

PATIENCE_S: Final = 75.0
"""The longest wait for one more change while events are sent or `segflow run` works: a slow machine may take its time,
one on which nothing moves is given up."""
QUIET_S: Final = 0.5
"""The wait after the last expected change, in which a repeated change would show. A commit takes some 20 ms."""
SILENT_S: Final = 15.0
"""The wait without a change, with everything sent, after which the rest is given up."""
POLL_MS: Final = 50
CHANGES_AT_ONCE: Final = 2000
"""The most changes of one poll. They take some 30 ms, so that frames come in time."""
PICTURE_AT: Final = 2.7
"""Changes for each event at which the picture is saved: with CDNOW, three quarters of the way."""


def run(history: History, *, paced: bool, picture: Path | None, console: Console) -> bool:
    """Run the whole demo. Everything it started is gone when this returns or raises.

    Args:
        history: the events.
        paced: see history.send.
        picture: where a frame is saved as SVG; None: nowhere.
        console: where the demo is shown.

    Returns:
        Whether the worker's changes equal those of `segflow run` on the same file.

    Raises:
        UsageError: something is missing on this machine, or the file is no history.
        DemoFailedError: the worker failed.
    """

    def announce(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    with servers(announce) as running:
        dashboard = Dashboard(source=history.source, total=history.events, labels=_labels(running.settings))
        # CDNOW is in the order of time and ends on one day in every shard, so the number of shards changes nothing.
        shards = 1 if history.path == CDNOW.resolve() else SHARDS
        with reference(history.path, running.worker.settings_file, shards) as expected, view(console) as show:
            following = _Following(running, history, dashboard, expected, show, picture)
            with kafka_errors(running.settings.kafka):
                asyncio.run(following.run(paced=paced))
            difference = following.difference()
        if not running.worker.stop(STOP_TIMEOUT_S):
            raise DemoFailedError(f"the worker did not end within {STOP_TIMEOUT_S:.0f} s of SIGTERM")
    announce(summary(dashboard))
    command = "`segflow run`" if shards == 1 else f"`segflow run --shards {shards}`"
    if difference is None:
        announce(f"the worker's {dashboard.changes:,} changes equal those of {command}, change for change")
    else:
        announce(f"the worker's {dashboard.changes:,} changes are not those of {command}: {difference}")
    return difference is None


def _labels(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Each dimension's labels without the neutral one, at which customers start and to which no change leads here."""
    return {
        model.name: tuple(label for code, label in enumerate(model.labels) if code != model.start)
        for model in from_settings(settings).models
    }


class _Following:
    """The sending of the history, and the fold of the changes into the dashboard as they come."""

    def __init__(
        self,
        running: Servers,
        history: History,
        dashboard: Dashboard,
        expected: Reference,
        show: Show,
        picture: Path | None,
    ) -> None:
        self._running = running
        self._history = history
        self._dashboard = dashboard
        self._expected = expected
        self._show = show
        self._picture = picture
        self._digest = ChangeDigest()

    def difference(self) -> str | None:
        """See ChangeDigest.difference."""
        if not self._expected.done:
            return f"that did not end within {PATIENCE_S:.0f} s of the latest change"
        return self._digest.difference(self._expected.digest)

    async def run(self, *, paced: bool) -> None:
        """Send and follow until all changes have come, or none for as long as _patience_s says."""
        async with _changes(self._running.settings) as consumer:
            sending = asyncio.create_task(
                send(self._running.settings, self._history, self._on_sent, paced=paced), name="sending"
            )
            try:
                latest_s = now_s = time.monotonic()
                while now_s - latest_s < self._patience_s(sending):
                    if await self._take(consumer):
                        latest_s = time.monotonic()
                    self._check_worker()
                    now_s = time.monotonic()
                    self._look(now_s)
                self._show(self._dashboard, float("inf"))
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    def _patience_s(self, sending: "asyncio.Task[None]") -> float:
        """The longest wait for one more change, seconds."""
        if not sending.done():
            return PATIENCE_S
        sending.result()
        if not self._expected.done:
            return PATIENCE_S
        return QUIET_S if self._digest.changes >= self._expected.digest.changes else SILENT_S

    async def _take(self, consumer: Any) -> int:
        """Fold in the changes that are at hand, else those that come within POLL_MS; returns their number."""
        fetched = await consumer.getmany(timeout_ms=POLL_MS, max_records=CHANGES_AT_ONCE)
        for records in fetched.values():
            for record in records:
                change = msgspec.json.decode(record.value)
                self._digest.add(change)
                self._dashboard.add(change)
        return sum(map(len, fetched.values()))

    def _check_worker(self) -> None:
        worker = self._running.worker
        if not worker.running:
            raise DemoFailedError(f"the worker ended; the end of its log:\n{worker.last_words()}")

    def _look(self, now_s: float) -> None:
        self._show(self._dashboard, now_s)
        if self._picture is not None and self._dashboard.changes >= PICTURE_AT * self._dashboard.total:
            save_picture(self._dashboard, self._picture)
            self._picture = None

    def _on_sent(self, events: int) -> None:
        self._dashboard.sent = events


@asynccontextmanager
async def _changes(settings: Settings) -> AsyncIterator[Any]:
    """A read_committed consumer at the beginning of the topic of changes."""
    consumer = AIOKafkaConsumer(
        **aiokafka_options(settings.kafka),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    try:
        await consumer.start()
        consumer.assign([TopicPartition(settings.kafka.topics.changes, shard) for shard in range(SHARDS)])
        yield consumer
    finally:
        await consumer.stop()
