"""A real Prometheus beside a real worker: every question of the dashboard has an answer, and no alert is false."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from segflow.embedded.free_port import free_ports
from segflow.embedded.kafka import ApacheKafka
from tests.support.health import Health
from tests.support.histories import written
from tests.support.monitoring import ALERTS, CONFIG, program, queries, rules
from tests.support.service import Service
from tests.support.until import PATIENCE_S, until

TROUBLE: Final = re.compile(r" (>|==) \d+$")
"""The end of a query that leaves out what is well."""

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


class Prometheus:
    """One that scrapes a worker each second."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, what: str, **parameters: str) -> Any:
        """An answer of its API; None where it does not answer yet."""
        try:
            with urlopen(f"{self._url}{what}?{urlencode(parameters)}", timeout=5) as answer:  # noqa: S310 - http
                return json.load(answer)["data"]
        except OSError:
            return None

    def value(self, query: str) -> float | None:
        """Of a query with one answer."""
        found = self.ask("query", query=query)
        return float(found["result"][0]["value"][1]) if found and found["result"] else None


@contextmanager
def prometheus(folder: Path, worker_port: int) -> Iterator[Prometheus]:
    """Under the configuration of `deploy/`, but for the worker's port and a quicker pace."""
    executable = program("prometheus")
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{worker_port}"]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    (port,) = free_ports(1)
    with (folder / "prometheus.log").open("wb") as said:
        process = subprocess.Popen(
            [
                executable,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=said,
            stderr=said,
        )
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait()


def test_the_dashboard_s_questions_have_answers_and_only_what_is_wrong_is_alerted(
    tmp_path: Path, kafka: ApacheKafka, redis_db: str, unique_prefix: str
) -> None:
    """Events, and one record that cannot be used: that one alert fires, and it is no page."""
    service = Service(tmp_path, kafka.address, redis_db, unique_prefix, 2)
    (port,) = free_ports(1)
    with service.worker(http_port=port), prometheus(tmp_path, port) as asked:
        until(lambda: Health(port).verdict("ready").get("shards") == [0, 1], "not both taken", PATIENCE_S)
        until(lambda: asked.value("sum(segflow_taken)") == 2, "not scraped", PATIENCE_S)
        moment = written(datetime.now(UTC))
        bought = {"type": "purchase", "occurred_at": moment, "amount": "60.00"}
        service.send(
            bought | {"customer_id": f"c{number}", "event_id": f"p{number}", "order_id": f"o{number}"}
            for number in range(20)
        )
        service.send([b"{"], role="purchases")
        until(lambda: asked.value("sum(segflow_events_total)") == 20, "events are not counted", PATIENCE_S)
        until(
            lambda: asked.value('segflow_customers{dimension="lifecycle",label="new"}') == 20,
            "customers are not counted",
            PATIENCE_S,
        )
        until(lambda: unanswered(asked) == [], lambda: f"without an answer: {unanswered(asked)}", PATIENCE_S)
        until(lambda: states(asked)["SegflowDeadLetters"] == "firing", lambda: str(states(asked)), PATIENCE_S)
        others = {name: state for name, state in states(asked).items() if state != "inactive"}
        assert others == {"SegflowDeadLetters": "firing"}


def unanswered(asked: Prometheus) -> list[str]:
    """Queries of the dashboard without an answer in the last minute; those that ask for trouble alone may have none."""
    now = datetime.now(UTC).timestamp()
    found = []
    for title, query, legend in queries():
        filled = query.replace("$__rate_interval", "10s").replace("$dimension", "lifecycle")
        answer = asked.ask("query_range", query=filled, start=str(now - 60), end=str(now), step="1")
        if answer is None or not (answer["result"] or TROUBLE.search(query)):
            found.append(f"{title} / {legend}")
    return found


def states(asked: Prometheus) -> dict[str, str]:
    """Each alert's state; all rules must be such as Prometheus can work out."""
    (group,) = asked.ask("rules")["groups"]
    assert all(each["health"] in ("ok", "unknown") for each in group["rules"]), group
    assert [each["name"] for each in group["rules"]] == [each["alert"] for each in rules()]
    return {each["name"]: each["state"] for each in group["rules"]}
