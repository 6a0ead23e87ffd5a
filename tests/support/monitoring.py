"""What `deploy/` has for Prometheus and Grafana, as the tests ask for it."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from segflow.embedded.options import real_is_required

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ALERTS: Final = DEPLOY / "prometheus" / "alerts.yml"
CONFIG: Final = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD: Final = DEPLOY / "grafana" / "segflow.json"


def rules() -> list[dict[str, Any]]:
    """The alerts."""
    (group,) = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def queries() -> list[tuple[str, str, str]]:
    """Of each query of the dashboard: the panel's title, the query and its legend."""
    return [
        (panel["title"], target["expr"], target["legendFormat"])
        for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
        for target in panel.get("targets", ())
    ]


def program(name: str) -> str:
    """A program of Debian's package `prometheus`; the test is skipped, or fails where SEGFLOW_REQUIRE_REAL is set."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is missing: Debian's package prometheus has it"
        if real_is_required():
            pytest.fail(reason)
        pytest.skip(reason)
    return found
