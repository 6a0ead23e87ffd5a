"""How many due customers a commit takes beside its events."""

from segflow.streams.shard.commit_loop import slice_of


def test_a_wave_takes_no_longer_than_the_events_it_travels_with() -> None:
    """Few events or none: the settings' slice; many: as many as they are."""
    assert [slice_of(500, records) for records in (0, 1, 500, 501, 8192)] == [500, 500, 500, 501, 8192]
