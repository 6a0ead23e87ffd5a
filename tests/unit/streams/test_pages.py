"""The pages of a worker: what they say, and that no client keeps others from them."""

import asyncio
import json
import logging
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any

import psutil
import pytest
from prometheus_client import CollectorRegistry

from segflow.embedded.free_port import free_ports
from segflow.schemas.settings import Settings
from segflow.streams.health import page_server
from segflow.streams.health.metrics import Metrics
from segflow.streams.health.page_server import BACKLOG, OPEN_MAX
from segflow.streams.health.pages import Pages, Verdict
from segflow.streams.runtime.errors import UsageError
from tests.support.health import Health
from tests.support.slow_clients import slow_clients
from tests.support.until import PATIENCE_S, until


class FakeSource:
    """A worker that is live and not ready."""

    def live(self) -> Verdict:
        """Yes."""
        return Verdict(why_not=[])

    def ready(self) -> Verdict:
        """No."""
        return Verdict(why_not=["shard 3 is not acquired"], more={"shards": [1]})

    def registry(self) -> CollectorRegistry:
        """A worker's metrics."""
        return Metrics().registry


def served(**worker: Any) -> Pages:
    """Pages under these settings."""
    return Pages(Settings.model_validate({"worker": worker}).worker)


@pytest.fixture
def port() -> int:
    """A free port."""
    (found,) = free_ports(1)
    return found


def test_the_pages_say_whether_and_why_not(port: int) -> None:
    """Before there is a worker it is starting; then its own word counts, and the status goes with it."""
    health = Health(port)
    with served(http_port=port) as pages:
        assert health.verdict("ready") == {"ready": False, "why_not": ["starting"]}
        pages.source = FakeSource()
        assert health.verdict("ready") == {"ready": False, "why_not": ["shard 3 is not acquired"], "shards": [1]}
        assert health.verdict("live") == {"live": True, "why_not": []}
        assert health.metrics()["segflow_commits_total"] == {(): 0.0}
        answer = health.ask("/else")
        assert answer is not None
        assert answer[0] == HTTPStatus.NOT_FOUND
    assert health.ask("/live") is None


def test_an_address_that_cannot_be_served_is_a_usage_error(port: int) -> None:
    """The port is another's: the message names the settings."""
    with served(http_port=port), pytest.raises(UsageError, match=r"worker\.http_host and worker\.http_port"):
        served(http_port=port).__enter__()


SOON_S = 10.0
"""What a scraper waits."""


def held(port: int) -> int:
    """Descriptors of this process that connections to the pages hold on the server's side."""
    return sum(1 for each in psutil.Process().net_connections("tcp") if each.laddr.port == port and each.raddr)


def test_three_hundred_slow_clients_hold_few_descriptors_and_keep_nobody_from_the_pages(port: int) -> None:
    """Silent, trickling, not reading: /live and /metrics answer beside them, again and again."""
    health = Health(port, SOON_S)
    with served(http_port=port) as pages, slow_clients(port, 300):
        pages.source = FakeSource()
        most = 0
        for _ in range(20):
            until(lambda: health.verdict("live") == {"live": True, "why_not": []}, "no answer", SOON_S)
            until(lambda: health.metrics().get("segflow_commits_total") == {(): 0.0}, "no metrics", SOON_S)
            most = max(most, held(port))
        assert 0 < most <= OPEN_MAX + BACKLOG


def test_a_connection_ends_in_time_whatever_its_client_does(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there are few: one that is silent, and one that says a byte now and then."""
    life_s = page_server.LIFE_S
    monkeypatch.setattr(page_server, "LIFE_S", 0.4)
    with served(http_port=port):
        silent, trickling = (socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(2))
        with silent, trickling:
            began_s = time.monotonic()
            said = 0
            with suppress(ConnectionError):
                while said < 200:
                    said += trickling.send(b"x")
                    time.sleep(0.02)
            assert said < 200
            assert silent.recv(1) == b""
            assert time.monotonic() - began_s < life_s
        until(lambda: held(port) == 0, "descriptors are held")


def test_a_connection_is_closed_after_its_answer(port: int) -> None:
    """Nothing waits for another request."""
    with served(http_port=port), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert b"\r\nconnection: close\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"live": True, "why_not": []}


@pytest.mark.parametrize(("method", "status"), [("HEAD", HTTPStatus.OK), ("POST", HTTPStatus.METHOD_NOT_ALLOWED)])
def test_only_reading_is_answered(port: int, method: str, status: HTTPStatus) -> None:
    """HEAD without a body; a body that is sent is not waited for."""
    with served(http_port=port):
        client = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        client.request(method, "/live", headers={"Content-Length": "1000000"} if method == "POST" else {})
        answer = client.getresponse()
        assert answer.status == status
        assert (answer.read() == b"") == (method == "HEAD")
        client.close()


def test_garbage_is_refused_without_a_traceback(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Who speaks TLS, say."""
    with served(http_port=port), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    assert all(each.exc_info is None and each.levelno <= logging.WARNING for each in caplog.records)


def test_the_pages_answer_while_an_event_loop_is_blocked(port: int) -> None:
    """They have their own."""

    async def blocking() -> dict[str, Any]:
        return Health(port).verdict("ready")

    with served(http_port=port):
        assert asyncio.run(blocking()) == {"ready": False, "why_not": ["starting"]}


def test_an_address_of_ipv6_is_served(port: int) -> None:
    """As http_host allows it."""
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 address")
    with served(http_port=port, http_host="::1"), socket.create_connection(("::1", port), timeout=PATIENCE_S) as client:
        client.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
