"""How times are read and written, and the calendar's ends."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def read_time(text: str) -> datetime:
    """Read RFC 3339 as UTC; digits beyond the microsecond are cut off. ValueError without an offset."""
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        message = f"a time needs an offset: {text}"
        raise ValueError(message)
    return moment.astimezone(UTC)


def written_time(moment: datetime) -> str:
    """Write a UTC time as RFC 3339 with `Z`, with six digits of fraction or none."""
    return moment.isoformat().replace("+00:00", "Z")


def moments_after(start: datetime, spans: Iterable[timedelta]) -> Iterator[datetime]:
    """Yield start + span for each span; a moment beyond the calendar's ends (the years 1 and 9999) never comes."""
    for span in spans:
        try:
            yield start + span
        except OverflowError:
            continue
