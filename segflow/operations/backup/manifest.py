"""The manifest of a snapshot: what it is of, and what each of its files must be. Pure."""

from typing import Final

import msgspec

from segflow.state import layout as record_layouts
from segflow.state import topic_layout
from segflow.state.head import Head
from segflow.streams.runtime.errors import UsageError

FILE: Final = "manifest.json"
"""Written last: a folder without it has no snapshot."""
FORMAT: Final = 1
"""Of the manifest and of the files beside it."""


class ShardFile(msgspec.Struct, frozen=True, kw_only=True):
    """One shard's part of a snapshot."""

    shard: int
    head: Head  # of the commit after which this was the state; sequence 0: there was none yet, and there is no file
    journal_next: int = 0  # the journal's offset behind that commit's entry
    customers: int = 0
    rows: int = 0
    size_bytes: int = 0
    sha256: str = ""

    @property
    def name(self) -> str:
        """The file's name in the folder."""
        return f"shard-{self.shard:05d}.parquet"


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of all shards, each of its own moment."""

    format: int = FORMAT
    segflow: str  # the version that wrote it
    layout: int = topic_layout.LAYOUT  # of the files' rows
    record_layout: int = record_layouts.LAYOUT  # of a customer's record, the newest there may be among them
    installation: str  # fingerprint of the secret in the control topic
    partitions: int
    partitioner: str
    began: str  # wall time, RFC 3339
    ended: str
    shards: list[ShardFile]


class _Formats(msgspec.Struct, frozen=True):
    """The fields that are read first: of a newer format, the rest may be anything."""

    format: int
    segflow: str = "a newer version"
    layout: int = 1
    record_layout: int = 1


def encode(manifest: Manifest) -> bytes:
    """The content of the file, for people, too."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"


def decode(content: bytes, where: str) -> Manifest:
    """A manifest.

    Args:
        content: of the file.
        where: it stands, for messages.

    Raises:
        UsageError: it is none, or of a newer version.
    """
    try:
        formats = msgspec.json.decode(content, type=_Formats)
        found = (formats.format, formats.layout, formats.record_layout)
        if any(
            is_ > known for is_, known in zip(found, (FORMAT, topic_layout.LAYOUT, record_layouts.LAYOUT), strict=True)
        ):
            raise UsageError(
                f"{where} was written by segflow {formats.segflow}, in a layout that this version does not know. "
                "Restore it with that version, or a newer one"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{where} is no manifest of a snapshot, or was truncated or altered ({error}). Take another snapshot"
        ) from error
    if [each.shard for each in manifest.shards] != list(range(manifest.partitions)):
        raise UsageError(f"{where} does not name each of its {manifest.partitions} shards once: take another snapshot")
    return manifest
