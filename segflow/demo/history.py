"""The history that the demo sends: a file's events by month, at a rate that a person can watch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from segflow.operations.line_files import LineFiles, Lines
from segflow.operations.produce import Sent, produce
from segflow.schemas.settings import Settings
from segflow.streams.runtime.errors import UsageError

CDNOW: Final = Path(__file__).with_name("cdnow.jsonl.gz")
"""In the checkout, from which the project is installed."""
SHOW_S: Final = 30.0
"""The time in which the whole history is sent: CDNOW's 18 months pass at 18 days a second."""
EVENTS_MAX: Final = 300_000
"""The most events of a history. More would not fit the demo's time limit on a small machine."""
PIECE: Final = 200
"""Events between two updates of the number sent."""


class _When(msgspec.Struct, gc=False):
    """The field from which an event's month is read."""

    occurred_at: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Events in the order of their file. `months` are runs of events of one month each."""

    path: Path
    source: str  # for people
    months: list[list[bytes]]

    @property
    def events(self) -> int:
        """The number of events."""
        return sum(map(len, self.months))


def read(path: Path | None) -> History:
    """The history in `path` (JSON Lines, gzip too); CDNOW's where `path` is None.

    Raises:
        UsageError: it cannot be read, or has more than EVENTS_MAX events.
    """
    source = f"{path.name}" if path else "23,570 customers of CDNOW, 1997 and 1998"
    path = path or CDNOW
    events: list[bytes] = []
    for lines in LineFiles([str(path)]):
        events += lines.values
        if len(events) > EVENTS_MAX:
            raise UsageError(
                f"{path}: has more than {EVENTS_MAX:,} events; for long files see `segflow run`, `produce`"
            )
    decoder = msgspec.json.Decoder(_When)

    def month(event: bytes) -> str:
        try:
            return decoder.decode(event).occurred_at[: len("1997-01")]
        except msgspec.MsgspecError:  # sending says what is wrong with it
            return ""

    return History(path=path.resolve(), source=source, months=[list(group) for _, group in groupby(events, month)])


async def send(settings: Settings, history: History, on_sent: Callable[[int], None], *, paced: bool) -> None:
    """Send the whole history as `segflow produce` does.

    Args:
        settings: of the demo's installation.
        history: the events.
        on_sent: called with the number of events sent so far.
        paced: over SHOW_S, every month in equal time, a late one faster; else as fast as possible.

    Raises:
        UsageError: a line is no event.
        aiokafka.errors.KafkaError: Kafka cannot be reached or refuses.
    """
    before = 0
    months = history.months if paced else [list(chain.from_iterable(history.months))]
    started_s = monotonic()

    def on_progress(sent: Sent, _done_bytes: int) -> None:
        on_sent(before + sent.records)

    for number, month in enumerate(months, start=1):
        left_s = started_s + SHOW_S * number / len(months) - monotonic()
        rate = len(month) / left_s if paced and left_s > 0 else None
        await produce(settings, _pieces(history.path, month, before), on_progress, rate=rate)
        before += len(month)


def _pieces(path: Path, events: list[bytes], before: int) -> Iterator[Lines]:
    for start in range(0, len(events), PIECE):
        values = events[start : start + PIECE]
        first = before + start + 1
        yield Lines(file=str(path), numbers=range(first, first + len(values)), values=values, done_bytes=0)
