"""The parts of a snapshot: which rows count, files and their checks, the manifest, the place."""

import asyncio
import io
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.operations.backup import latest_rows, manifest
from segflow.operations.backup.latest_rows import LatestRows
from segflow.operations.backup.manifest import Manifest, ShardFile
from segflow.operations.backup.place import Place
from segflow.operations.backup.state_file import HashedFile, RowsWriter, StateFile, batches, check
from segflow.state.head import Head
from segflow.state.topic_layout import CUSTOMER, PLACE, PLACE_BYTES
from segflow.streams.runtime.errors import UsageError


@given(slices=st.lists(st.lists(st.binary(max_size=2), max_size=8)))
def test_the_last_row_of_each_key_counts(slices: list[list[bytes]]) -> None:
    """However the rows are cut into slices."""
    latest, keys = LatestRows(), [key for each in slices for key in each]
    for each in slices:
        latest.add(each)
    expected = {key: row for row, key in enumerate(keys)}
    assert [int(row) for row in latest.are_latest().nonzero()[0]] == sorted(expected.values())


def test_it_looks_whenever_as_many_rows_wait_as_there_are_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that memory follows the keys, not the rows."""
    monkeypatch.setattr(latest_rows, "PENDING_MIN", 4)
    latest = LatestRows()
    for _ in range(100):
        latest.add([b"a", b"b"])
        assert latest._waiting < 4
    assert list(latest.are_latest().nonzero()[0]) == [198, 199]


def written(folder: Path, rows: int) -> ShardFile:
    """A file of so many customers, each with its place."""
    place = Place.of(str(folder))
    with place.writing("shard-00000.parquet") as file:
        hashed = HashedFile(file)
        writer = RowsWriter(hashed, "zstd")
        for number in range(rows):
            key = PLACE + number.to_bytes(PLACE_BYTES)
            writer.add([CUSTOMER + b"c%d" % number, key], [b"\2" * 200, b"c%d" % number])
        writer.close()
    return ShardFile(shard=0, head=Head(sequence=1), rows=2 * rows, size_bytes=hashed.size_bytes, sha256=hashed.sha256)


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    """In slices, with their customers and places; the checksum is that of the file."""
    part = written(tmp_path, 20_000)
    place = Place.of(str(tmp_path))
    check(place, part)

    async def read() -> tuple[dict[str, bytes | None], dict[int, str]]:
        customers: dict[str, bytes | None] = {}
        places: dict[int, str] = {}
        async for found, _, _ in StateFile(place, part).parts(0, part.rows):
            customers |= found.customers
            places |= found.places
        return customers, places

    customers, places = asyncio.run(read())
    assert customers == {f"c{number}": b"\2" * 200 for number in range(20_000)}
    assert places == {number: f"c{number}" for number in range(20_000)}


def test_rows_are_written_in_groups() -> None:
    """A reader holds one of them at a time."""
    file = io.BytesIO()
    writer = RowsWriter(file, "lz4")
    for _ in range(3):
        writer.add([b"k"] * 16_384, [b"v"] * 16_384)
    writer.close()
    assert [len(each) for each in batches(file, 16_384)] == [16_384] * 3


def test_a_file_that_was_altered_anywhere_is_refused(tmp_path: Path) -> None:
    """One bit is enough."""
    part = written(tmp_path, 100)
    file = tmp_path / part.name
    content = bytearray(file.read_bytes())
    content[Random(1).randrange(len(content))] ^= 1
    file.write_bytes(content)
    with pytest.raises(UsageError, match="SHA-256 is another"):
        check(Place.of(str(tmp_path)), part)
    file.write_bytes(content[:-1])
    with pytest.raises(UsageError, match="truncated or altered"):
        check(Place.of(str(tmp_path)), part)
    file.unlink()
    with pytest.raises(UsageError, match="is missing"):
        check(Place.of(str(tmp_path)), part)


def test_a_manifest_comes_back_as_it_was_and_is_refused_where_it_is_newer() -> None:
    """What a newer one has besides does not matter."""
    was = Manifest(
        segflow="1",
        installation="f",
        partitions=1,
        partitioner="murmur2",
        began="",
        ended="",
        shards=[ShardFile(shard=0, head=Head(sequence=7))],
    )
    assert manifest.decode(manifest.encode(was), "m") == was
    for newer in ({"format": 2}, {"format": 1, "layout": 2}, {"format": 1, "record_layout": 3}):
        with pytest.raises(UsageError, match=r"written by segflow 9, in a layout that this version does not know"):
            manifest.decode(msgspec.json.encode(newer | {"segflow": "9"}), "m")


def test_a_place_that_is_none_is_said(tmp_path: Path) -> None:
    """Another scheme, and a file in the place of the folder."""
    with pytest.raises(UsageError, match="in a folder, or under s3://"):
        Place.of("ftp://host/folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        Place.of(str(tmp_path / "file")).make()


def test_no_secret_in_an_address_is_shown() -> None:
    """Neither a key before the bucket nor what stands behind the folder."""
    assert Place.of("s3://key:secret@bucket/a/b/?endpoint_override=h&region=x&scheme=http").name == "s3://bucket/a/b"
