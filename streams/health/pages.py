"""/live, /ready and /metrics, served from a thread of their own: they answer also where the event loop does not."""

import json
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol, Self

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from segflow.schemas.worker_settings import Worker as WorkerSettings
from segflow.streams.health.page_server import PageServer, Receive, Scope, Send
from segflow.streams.runtime.errors import UsageError

JSON = "application/json"


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


class Pages:
    """Serves `source` on the settings' address; as a context manager. Nothing is served where the port is 0."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.source: Source = Starting()
        self._settings = settings
        self._server: PageServer | None = None

    def __enter__(self) -> Self:
        host, port = self._settings.http_host, self._settings.http_port
        if port:
            try:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listening = socket.create_server((host, port), family=family)
            except OSError as error:
                raise UsageError(
                    f"health and metrics cannot be served on {host}:{port}: {error.strerror or error}. Set "
                    "worker.http_host and worker.http_port (--http-port) to an address of this machine and a free port."
                ) from error
            self._server = PageServer(self._app, listening)
            self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.end()

    async def _app(self, scope: Scope, _: Receive, send: Send) -> None:
        """The ASGI application: one answer, and the connection is closed."""
        status, kind, body = self._answer(scope["method"], scope["path"])
        headers = {"content-type": kind, "content-length": str(len(body)), "connection": "close"}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": int(status), "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[HTTPStatus, str, bytes]:
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, JSON, b'{"methods":["GET","HEAD"]}\n'
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self.source.registry())
        questions = {"/live": self.source.live, "/ready": self.source.ready}
        if path not in questions:
            return HTTPStatus.NOT_FOUND, JSON, b'{"pages":["/live","/ready","/metrics"]}\n'
        verdict = questions[path]()
        content = {path[1:]: not verdict.why_not, "why_not": verdict.why_not, **verdict.more}
        status = HTTPStatus.SERVICE_UNAVAILABLE if verdict.why_not else HTTPStatus.OK
        return status, JSON, json.dumps(content).encode() + b"\n"
