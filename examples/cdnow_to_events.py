"""Turns the CDNOW master file into segflow purchases: gzipped JSON Lines in the order of time.

    python examples/cdnow_to_events.py cdnow_master.txt examples/cdnow.jsonl.gz

Each line of the source is one purchase: customer, date (YYYYMMDD), number of CDs, dollars; a header may come first.
Line k (the header not counted) becomes the event `cdnow-k`, at 00:00 UTC of its date.
"""

import argparse
import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path


def events(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """The purchases in `lines`, sorted by date, then by line.

    Raises:
        ValueError: a line is no purchase; the message says which.
    """
    purchases = []
    for number, fields in enumerate(_rows(lines), start=1):
        try:
            customer_id, date, _cds, dollars = fields
            day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
            float(dollars)  # written on as it is: money is no float
        except ValueError as error:
            raise ValueError(f"purchase {number} must be 'customer YYYYMMDD cds dollars', found {fields}") from error
        purchases.append((day, number, customer_id, dollars))
    for day, number, customer_id, dollars in sorted(purchases):
        yield {
            "type": "purchase",
            "event_id": f"cdnow-{number}",
            "customer_id": customer_id,
            "occurred_at": f"{day:%Y-%m-%dT%H:%M:%SZ}",
            "order_id": f"cdnow-{number}",
            "amount": dollars,
            "currency": "USD",
        }


def convert(source: Path, target: Path) -> int:
    """Write the events of `source` (gzip too) to `target`, the same bytes every time; how many there are.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: see `events`.
    """
    opener = gzip.open if source.suffix == ".gz" else open
    with opener(source, "rt", encoding="ascii") as file:
        lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in events(file)]
    # No name and no time in the gzip header: they would change the bytes.
    with target.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.write("".join(lines).encode("ascii"))
    return len(lines)


def _rows(lines: Iterable[str]) -> Iterator[list[str]]:
    """Fields of each line that has any, without the header."""
    rows = (line.split() for line in lines)
    return (row for row in rows if row and row[0] != "customer_id")


def main() -> int:
    """Convert the file named on the command line."""
    parser = argparse.ArgumentParser(description="Turn the CDNOW master file into segflow purchases.")
    parser.add_argument("source", type=Path, help="the master file, gzipped or not")
    parser.add_argument("target", type=Path, help="the gzipped JSON Lines file to write")
    arguments = parser.parse_args()
    try:
        count = convert(arguments.source, arguments.target)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"cdnow_to_events: {error}\n")
        return 2
    print(f"{count} events in {arguments.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
