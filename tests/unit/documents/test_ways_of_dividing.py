"""docs/ways-of-dividing.md and examples/dimensions.yaml show what the settings take, and what comes of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from segflow.engine.file_run import FileRun
from segflow.schemas import settings_file
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.instant import to_us
from tests.support.agreement import parsed
from tests.support.histories import written

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "ways-of-dividing.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n\n```yaml\n(.*?)```", DOCUMENT, re.MULTILINE | re.DOTALL))
ROWS = re.findall(r"^\| \[(.+?)\]\(#(.+?)\) \| (.+?) \| (.+?) \| (.+?) \|$", DOCUMENT, re.MULTILINE)
EXAMPLE = settings_file.load(ROOT / "examples" / "dimensions.yaml", environment={})
FIRST = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", SECTIONS)
def test_each_example_is_three_lines_of_settings(name: str) -> None:
    """They load, and have a dimension of the kind that the table names."""
    assert len(SECTIONS[name].splitlines()) == 3
    loaded = Settings.model_validate(yaml.safe_load(SECTIONS[name]))
    (cell,) = [cell for title, _, _, cell, _ in ROWS if title == name]
    built_in = re.findall(r"`(\w+)`", cell)
    assert list(loaded.dimensions) == built_in if built_in else loaded.rule_dimensions


def test_every_way_has_a_row_an_example_and_labels_that_there_are() -> None:
    """Every dimension that is built in, in the order of the examples; links lead to them."""
    assert [title for title, *_ in ROWS] == list(SECTIONS)
    assert [anchor for _, anchor, *_ in ROWS] == [title.lower().replace(" ", "-") for title in SECTIONS]
    named = {name for _, _, _, cell, _ in ROWS for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(BUILT_IN)
    grid = {label for row in Settings().rfm.grid for label in row}
    for _, _, _, cell, labels in ROWS:
        for name in re.findall(r"`(\w+)`", cell):
            assert set(re.findall(r"\w+", labels)) <= {*BUILT_IN[name].labels, *(grid if name == "rfm" else ())}


def event(number: int, days: float, kind: str, **fields: Any) -> bytes:
    """Something that happened so many days after FIRST."""
    body = {
        "event_id": f"e{number}",
        "type": kind,
        "customer_id": "c",
        "occurred_at": written(FIRST + timedelta(days=days)),
    }
    return json.dumps(body | fields).encode()


def test_the_example_of_rules_divides_customers_as_it_says() -> None:
    """One customer from the first purchase into silence, dimension by dimension."""
    attributes = {"age": 34, "country": "CN", "novelty_score": 80, "risk_score": 75, "newsletter": True, "need": "gift"}
    log = [
        event(1, 0, "purchase", order_id="o", amount=60),
        event(2, 1, "profile", attributes=attributes),
        event(3, 2, "profile", attributes={"need": None, "brand_score": 20}),
        event(4, 3, "purchase", order_id="o", amount=60),
    ]
    run = FileRun(EXAMPLE)
    results = [*run.feed(log, 1), *run.finish(to_us(FIRST + timedelta(days=400)))]
    changes = parsed(message.value for result in results for message in result.changes)
    course: dict[str, list[str]] = {}
    for change in changes:
        course.setdefault(change["dimension"], []).append(change["current"])
    assert course["age_band"] == ["middle"]
    assert course["region"] == ["greater_china"]
    assert course["lifestyle"] == ["trendsetter"]
    assert course["need"] == ["gift", "browse"]
    assert course["risk_appetite"] == ["aggressive"]
    assert course["win_back"] == ["email", "none"]
    (email,) = [change for change in changes if change["current"] == "email"]
    assert email["cause"] == {"kind": "time"}
    assert email["effective_at"] == written(FIRST + timedelta(days=3 + 75))
    assert tuple(email["segments"]) == EXAMPLE.dimensions
