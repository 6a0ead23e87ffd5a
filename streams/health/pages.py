"""/live, /ready and /metrics, served from threads of their own: they answer also where the event loop does not."""

import json
import logging
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol, Self

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from segflow.schemas.worker_settings import Worker as WorkerSettings
from segflow.streams.runtime.errors import UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """An answer of /live or /ready: yes, or why not; `more` is for people who look."""

    why_not: list[str]
    more: dict[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """The worker whose state the pages show. Called from other threads."""

    def live(self) -> Verdict:
        """Whether it makes progress; where not, only a new process helps."""
        ...

    def ready(self) -> Verdict:
        """Whether events are worked."""
        ...

    def registry(self) -> CollectorRegistry:
        """The metrics."""
        ...


@dataclass(slots=True)
class Starting:
    """The source before there is a worker."""

    why: str = "starting"

    def live(self) -> Verdict:
        """See Source."""
        return Verdict(why_not=[])

    def ready(self) -> Verdict:
        """See Source."""
        return Verdict(why_not=[self.why])

    def registry(self) -> CollectorRegistry:
        """See Source."""
        return CollectorRegistry()


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:
        """As the base class, but without looking its own name up: where DNS is down, that takes seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])


class Pages:
    """Serves `source` on the settings' address; as a context manager. Nothing is served where the port is 0."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.source: Source = Starting()
        self._settings = settings
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        host, port = self._settings.http_host, self._settings.http_port
        if port:
            try:
                self._server = _Server((host, port), _handler(self._answer))
            except OSError as error:
                raise UsageError(
                    f"health and metrics cannot be served on {host}:{port}: {error.strerror or error}. Set "
                    "worker.http_host and worker.http_port (--http-port) to an address of this machine and a free port."
                ) from error
            threading.Thread(target=self._server.serve_forever, name="pages", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.source.registry())
        questions = {"/live": self.source.live, "/ready": self.source.ready}
        if path not in questions:
            return HTTPStatus.NOT_FOUND, "application/json", b'{"pages":["/live","/ready","/metrics"]}\n'
        verdict = questions[path]()
        content = {path[1:]: not verdict.why_not, "why_not": verdict.why_not, **verdict.more}
        status = HTTPStatus.SERVICE_UNAVAILABLE if verdict.why_not else HTTPStatus.OK
        return status, "application/json", json.dumps(content).encode() + b"\n"


def _handler(answer: Callable[[str], tuple[HTTPStatus, str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds a client may take to say what it wants: a silent one must not keep a thread

        def do_GET(self) -> None:
            """Answer one request."""
            status, kind, body = answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
            """Requests are nobody's news."""
            log.debug(format, *args)

    return Handler
