"""A real S3 server (moto's) as a process of its own, with one bucket, and the keys to it in the environment."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from segflow.embedded.free_port import free_ports
from tests.support.until import until

BUCKET = "backups"


class S3Server:
    """The server at a port of this machine."""

    def __init__(self, port: int) -> None:
        self._address = f"127.0.0.1:{port}"

    def place(self, folder: str, bucket: str = BUCKET) -> str:
        """The address of a folder, as commands take it."""
        return f"s3://{bucket}/{folder}?endpoint_override={self._address}&scheme=http&region=us-east-1"

    def deny(self) -> None:
        """From now on nobody's keys are known."""
        self.ask("POST", "moto-api/reset-auth", b"0")

    def ask(self, method: str, path: str, body: bytes | None = None) -> None:
        """One request, without keys."""
        kind = {"Content-Type": "application/octet-stream"}  # else it takes the body for a form
        with urlopen(Request(f"http://{self._address}/{path}", data=body, headers=kind, method=method)):
            pass


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server, ended afterwards."""
    (port,) = free_ports(1)
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            return False
        return True

    try:
        until(answers, "the S3 server does not come up")
        server = S3Server(port)
        server.ask("PUT", BUCKET)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
            yield server
    finally:
        process.terminate()
        process.wait()
