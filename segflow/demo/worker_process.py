"""A worker as it runs in production, in a process that ends with the demo."""

import json
import sys
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

import yaml

from segflow.embedded.server_process import LOG_TAIL_LINES, ServerProcess

START_TIMEOUT_S: Final = 60.0
"""The longest wait for the start. It takes 2 to 4 s; a busy small machine may need several times that."""
STOP_TIMEOUT_S: Final = 10.0
"""The longest wait for the end after SIGTERM, which a worker promises."""
QUESTION_TIMEOUT_S: Final = 2.0


class WorkerProcess(ServerProcess):
    """`segflow worker` with the settings `content`; it is started once it has acquired all `shards`."""

    name = "the worker"

    def __init__(self, content: Mapping[str, Any], *, shards: int) -> None:
        super().__init__(start_timeout_s=START_TIMEOUT_S)
        self.shards = shards
        self.settings_file = self.folder / "segflow.yaml"
        self.settings_file.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")

    @property
    def description(self) -> str:
        """The process and its shards, for people."""
        return f"one worker process with {self.shards} shards"

    def last_words(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])

    def _command(self) -> list[str]:
        settings = ["--settings", str(self.settings_file), "--http-port", str(self.ports[0])]
        return [sys.executable, "-m", "segflow", "worker", *settings]

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.ports[0], timeout=QUESTION_TIMEOUT_S)
        try:
            connection.request("GET", "/ready")
            answer = connection.getresponse()
            return answer.status == HTTPStatus.OK and len(json.load(answer)["shards"]) == self.shards
        except (OSError, HTTPException, ValueError):
            return False
        finally:
            connection.close()
