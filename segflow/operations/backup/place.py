"""The place of a snapshot's files: a local folder, or a bucket of an S3-compatible service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pyarrow import ArrowException
from pyarrow.fs import FileSystem, FileType, LocalFileSystem

from segflow.streams.runtime.errors import UsageError

S3: Final = "s3://"
REASONS: Final = (
    (
        "NETWORK_CONNECTION",
        "cannot be reached: check the address (endpoint_override, AWS_ENDPOINT_URL) and the network",
    ),
    ("ACCESS_DENIED", "denies: give the user the right to list the bucket, and to read and write there"),
    ("INVALID_ACCESS_KEY_ID", "denies: it does not know the access key (AWS_ACCESS_KEY_ID)"),
    ("SIGNATURE_DOES_NOT_MATCH", "denies: the secret key is another (AWS_SECRET_ACCESS_KEY)"),
    ("NO_SUCH_BUCKET", "there is no such bucket: create it"),
)
"""The words for a person, by the name that the client has for the error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder for the files of one snapshot. Its methods raise UsageError where it does not answer or refuses."""

    name: str  # for people, without what may be secret
    folder: Path | None  # the local one
    _files: FileSystem
    _path: str

    @classmethod
    def of(cls, where: str) -> "Place":
        """The place that somebody named: a path, or s3://bucket/folder."""
        if where.startswith(S3):
            address, _, _ = where.partition("?")
            name = S3 + address.removeprefix(S3).rpartition("@")[2].rstrip("/")
            with _said(name):
                files, path = FileSystem.from_uri(where)
            return cls(name=name, folder=None, _files=files, _path=path.rstrip("/"))
        if "://" in where:
            raise UsageError(f"{where}: a snapshot lies in a folder, or under s3://bucket/folder")
        folder = Path(where).absolute()
        return cls(name=where, folder=folder, _files=LocalFileSystem(), _path=str(folder))

    def make(self) -> None:
        """Make the folder, where it is a local one."""
        if self.folder is not None:
            with _said(self.name):
                self.folder.mkdir(parents=True, exist_ok=True)

    def size(self, name: str) -> int | None:
        """The bytes of a file; None where there is none."""
        with _said(self.name):
            found = self._files.get_file_info(f"{self._path}/{name}")
        return int(found.size) if found.type == FileType.File else None

    @contextmanager
    def reading(self, name: str) -> Iterator[Any]:
        """A file to read."""
        with _said(self.where(name)), self._files.open_input_file(f"{self._path}/{name}") as file:
            yield file

    @contextmanager
    def writing(self, name: str) -> Iterator[Any]:
        """A file to write, in the place of one that is there."""
        with _said(self.where(name)), self._files.open_output_stream(f"{self._path}/{name}") as file:
            yield file

    def where(self, name: str) -> str:
        """A file, for people."""
        return f"{self.name.rstrip('/')}/{name}"


@contextmanager
def _said(name: str) -> Iterator[None]:
    """Say the client's errors in words that a person can act on."""
    try:
        yield
    except (OSError, ArrowException) as error:
        text = getattr(error, "strerror", None) or str(error)
        why = next((words for known, words in REASONS if known in text), None)
        raise UsageError(f"{name}: {text if why is None else f'{why} ({text})'}") from error
