"""Asking a worker's pages."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, Self

from prometheus_client.parser import text_string_to_metric_families

from segflow.embedded.free_port import free_ports

PATIENCE_S: Final = 30.0
"""For one answer, which takes milliseconds on an idle machine."""


class Health:
    """The pages of one worker process."""

    def __init__(self, port: int, patience_s: float = PATIENCE_S) -> None:
        self.port = port
        self._patience_s = patience_s

    @classmethod
    def at_free_port(cls) -> Self:
        """Those of a worker that is about to start."""
        return cls(*free_ports(1))

    def ask(self, path: str) -> tuple[int, str] | None:
        """Status and body; None where nobody answers."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=self._patience_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    def verdict(self, name: str) -> dict[str, Any]:
        """/live or /ready; {} where nobody answers."""
        answer = self.ask(f"/{name}")
        if answer is None:
            return {}
        content: dict[str, Any] = json.loads(answer[1])
        assert answer[0] == (200 if content[name] else 503)
        return content

    def is_ready(self) -> bool:
        """Whether /ready says so."""
        return bool(self.verdict("ready").get("ready"))

    def metrics(self) -> dict[str, dict[tuple[str, ...], float]]:
        """Samples by name and the values of their labels, in the order of the labels' names."""
        answer = self.ask("/metrics")
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(answer[1] if answer else ""):
            for sample in family.samples:
                found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
        return found
