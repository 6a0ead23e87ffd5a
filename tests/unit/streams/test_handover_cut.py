"""The offset below which what was handed over is cut: never beyond a position that somebody may still read from."""

import msgspec
import pytest

from segflow.state.head import Head, Position
from segflow.streams.journal.entry import Entry
from segflow.streams.worker.handover_cut import below
from tests.support.journal_entry import entry_of


def first(sequence: int, handover_from: int, *topic_ids: str) -> Entry:
    """The oldest entry that the journal keeps."""
    return entry_of(sequence, topic_ids=topic_ids, handover_from=handover_from)


@pytest.mark.parametrize(
    ("entry", "offset", "expected"),
    [
        (first(5, 30, "p", "i", "h"), 70, 30),  # an audit reaches as far back in both
        (first(5, 30, "p", "i", "h"), 20, 20),  # moved back by hand since
        (first(1, 30, "p", "i", "h"), 70, 0),  # commits may be done again from the first on
        (first(5, 30, "p", "i", "old"), 70, 0),  # of a topic that was made again
        (None, 70, 70),  # nothing was committed for as long as the journal is kept
        (first(5, 0, "p", "i"), 70, 0),  # of a version that handed nothing over
    ],
)
def test_the_cut_is_below_all_positions(entry: Entry | None, offset: int, expected: int) -> None:
    """The journal's first entry and the head bound it."""
    head = msgspec.structs.replace(Head(), handover=Position(topic_id="h", offset=offset))
    assert below(entry, head) == expected
