"""JSON Lines files, gzip too, as one log: batches of lines that know where they stand."""

import gzip
import io
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from segflow.streams.runtime.errors import UsageError

STDIN: Final = "-"
BLOCK_BYTES: Final = 4 << 20
"""Read at once, and so a batch: some 20,000 events; larger ones gain no speed."""
LINE_MAX_BYTES: Final = 16 << 20
"""No line of JSON Lines is that long: such a file is something else, and would not fit into memory."""
GZIP_MAGIC: Final = b"\x1f\x8b"  # no JSON starts so, so that gzip is known without the file's name


File: TypeAlias = "io.BufferedReader[io.FileIO]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Some non-empty lines of one file, in their order."""

    file: str
    numbers: Sequence[int]  # each line's number, from 1
    values: list[bytes]
    done_bytes: int  # read so far of all files, compressed


class LineFiles:
    """The lines of `names` (paths; `-`: standard input), one file after the other.

    live: take from a pipe what it has; else wait for whole blocks, so that the same lines make the same batches.

    Raises:
        UsageError: a file is missing or no file; found before anything is read.
    """

    def __init__(self, names: Sequence[str], *, live: bool = False) -> None:
        self._names = names
        self._live = live
        self._finished_bytes = 0
        self.total_bytes = self._measure()

    def _measure(self) -> int | None:
        """Bytes of all files, None where standard input or a pipe is among them."""
        total: int | None = 0
        if list(self._names).count(STDIN) > 1:
            raise UsageError("standard input (-) can be read once only")
        for name in self._names:
            if name == STDIN:
                total = None
                continue
            try:
                status = Path(name).stat()
                if not stat.S_ISFIFO(status.st_mode):  # opening a pipe would wait for its writer
                    Path(name).open("rb").close()
            except OSError as error:
                raise UsageError(f"{name}: {_reason(error)}") from error
            total = None if total is None or not stat.S_ISREG(status.st_mode) else total + status.st_size
        return total

    def __iter__(self) -> Iterator[Lines]:
        """Batches of lines, a block's worth each.

        Raises:
            UsageError: a file cannot be read to its end: I/O errors, a damaged or truncated gzip, an endless line.
        """
        for name in self._names:
            try:
                raw = io.FileIO(sys.stdin.fileno(), closefd=False) if name == STDIN else io.FileIO(name)
                with io.BufferedReader(raw, BLOCK_BYTES) as file:
                    yield from self._batches(name, file)
                    self._finished_bytes += _position(file)
            except EOFError as error:
                raise UsageError(f"{name}: the gzip file ends in the middle; was it copied whole?") from error
            except (OSError, zlib.error) as error:
                raise UsageError(f"{name}: {_reason(error)}") from error

    def _batches(self, name: str, file: File) -> Iterator[Lines]:
        read: Callable[[int], bytes] = file.read1 if self._live else file.read
        if file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC:
            read = gzip.GzipFile(fileobj=file).read
        rest = b""
        first = 1  # the number of the next line
        while block := read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield from self._batch(name, file, first, lines)
            first += len(lines)
            if len(rest) > LINE_MAX_BYTES:
                raise UsageError(f"{name}: line {first} is longer than {LINE_MAX_BYTES >> 20} MiB: is this JSON Lines?")
        yield from self._batch(name, file, first, [rest])

    def _batch(self, name: str, file: File, first: int, lines: list[bytes]) -> Iterator[Lines]:
        """The lines that are not empty, stripped."""
        stripped = [line.strip() for line in lines]
        numbers: Sequence[int] = range(first, first + len(lines))
        if not all(stripped):
            numbers = [number for number, line in zip(numbers, stripped, strict=True) if line]
            stripped = [line for line in stripped if line]
        if stripped:
            yield Lines(file=name, numbers=numbers, values=stripped, done_bytes=self._finished_bytes + _position(file))


def _position(file: File) -> int:
    return file.raw.tell() if file.raw.seekable() else 0


def _reason(error: Exception) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case IsADirectoryError():
            return "is a directory; name the files in it"
        case PermissionError():
            return "may not be read by this user"
        case gzip.BadGzipFile() | zlib.error():
            return f"is a damaged gzip file: {error}"
        case OSError(strerror=str() as text):
            return text
        case _:
            return str(error)
