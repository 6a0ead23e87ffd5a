"""What a simulation says of a new definition is what its adoption then does; and it leaves everything as it is."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.operations.migration_matrix import svg
from segflow.operations.simulation import over_stores
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN
from segflow.segments.models.rfm import GRID
from segflow.segments.rules import from_settings
from segflow.streams.control.definitions import definition_of
from segflow.streams.control.topic import Control
from segflow.streams.runtime.errors import UsageError
from tests.support.command import segflow, settings_file
from tests.support.events import Log
from tests.support.histories import histories
from tests.support.lockstep import Engine
from tests.support.trials import trials

VIP = [["vip" if label == "new" else label for label in row] for row in GRID]
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"lifecycle": {"at_risk_after": "20d", "churned_after": "50d", "loyal_orders": 2}},
    {"rfm": {"grid": VIP}},
    {"dimensions": ["value", "rfm"], "value": {"cuts": "fixed"}},
)


def control_of(settings: Settings) -> Control:
    """As a worker of these settings began."""
    control = Control(settings)
    content = {"kind": "definition", "content": definition_of(settings)}
    control._take(0, json.dumps(content).encode(), 0)
    return control


@given(log=histories(30), change=st.sampled_from(CHANGES))
@trials(60)
def test_a_simulation_says_what_the_adoption_then_does(log: Log, change: dict[str, Any]) -> None:
    """As many moves of each kind as changes with the cause `definition`; the store is as it was."""
    engine, new = Engine(), Settings.model_validate(change)
    engine.feed(log)
    engine.sweep()
    store = engine.shard.store
    page, head = store.page(0), store.head()
    records = store.load(page)
    comparison = over_stores(control_of(Settings()), new, [store], UNKNOWN, 3)
    assert (store.page(0), store.load(page), store.head()) == (page, records, head)
    assert comparison.customers == len(page)
    engine.rule_versions.add_definition(from_settings(new, definition=1))
    before = len(engine.changes)
    engine.sweep()
    moved = Counter((each["dimension"], each["previous"], each["current"]) for each in engine.changes[before:])
    expected = {
        (name, was, now): count
        for (name, was, now), count in comparison.moves.items()
        if was != now and name in new.dimensions
    }
    if "value" in new.dimensions:  # published as from the neutral label, where it is shown that nobody was anything
        expected = {move if move[1] else (move[0], "none", move[2]): count for move, count in expected.items()}
        expected = {move: count for move, count in expected.items() if move[1] != move[2]}
    assert moved == expected
    for move, ids in comparison.samples.items():
        assert len(ids) <= min(3, comparison.moves[move])


def test_facts_that_redis_does_not_hold_are_refused_with_the_reason() -> None:
    """Sums cannot be taken apart; a file of the events can be worked through again."""
    listed = Settings.model_validate({"facts": "listed"})
    with pytest.raises(UsageError, match=r"dimensions.price .* simulate over a file"):
        over_stores(control_of(listed), listed.model_copy(update={"dimensions": ("price",)}), [], UNKNOWN, 1)


def test_cuts_that_are_newly_wanted_are_made_of_the_population_as_it_is() -> None:
    """With quintiles a fifth of the customers is in each score, though no re-cut was made yet."""
    engine = Engine()
    buy = {"type": "purchase", "occurred_at": "2024-01-01T00:00:00Z", "order_id": "o"}
    engine.feed([buy | {"event_id": f"e{k}", "customer_id": f"c{k}", "amount": 1 + 5 * k} for k in range(600)])
    new = Settings.model_validate({"rfm": {"cuts": "quantile"}})
    comparison = over_stores(control_of(Settings()), new, [engine.shard.store], UNKNOWN, 1)
    assert comparison.cuts == "of the 600 living customers at 2024-01-01T00:00:00Z"
    monetary = np.array(comparison.after.cuts.monetary_minor) / 100
    assert np.allclose(monetary, [596, 1196, 1796, 2396], rtol=0.02)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A purchase of each of 40 customers, and another of every fourth, weeks later; with one that cannot be used."""
    lines = [
        json.dumps(
            {
                "type": "purchase",
                "event_id": f"e{number}",
                "customer_id": f"c{number % 40}",
                "occurred_at": f"2024-0{1 + 2 * (number // 40)}-01T00:00:00Z",
                "order_id": "o",
                "amount": "60",
                "discount": "5",
            }
        )
        for number in [*range(40), *range(40, 80, 4)]
    ]
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join([*lines, "{"]))
    return file


def test_over_a_file_facts_may_differ_too(tmp_path: Path, log: Path) -> None:
    """A dimension that counts something of its own; JSON, and a picture that is XML."""
    new = settings_file(
        tmp_path, dimensions=["lifecycle", "price"], lifecycle={"at_risk_after": "90d"}, price={"min_purchases": 2}
    )
    picture = tmp_path / "moves.svg"
    result = segflow("simulate", "--settings", new, log, "--json", "--sample", "2", "--svg", picture)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["customers"] == 40
    lifecycle = found["dimensions"]["lifecycle"]
    assert lifecycle["moves"] == [
        {"from": "at_risk", "to": "new", "customers": 30, "sample": ["c1", "c2"]},
        {"from": "reactivated", "to": "active", "customers": 10, "sample": ["c0", "c4"]},
    ]
    assert lifecycle["labels"]["new"] == {"before": 0, "after": 30}
    assert found["dimensions"]["price"]["labels"]["sensitive"] == {"before": 0, "after": 10}
    assert found["dimensions"]["rfm"]["labels"]["null"]["after"] == 40
    ET.parse(picture)  # noqa: S314 - our own file
    assert ">30<" in picture.read_text()


def test_the_tables_are_for_a_person(tmp_path: Path, log: Path) -> None:
    """Rows are now, columns then; those who move are named."""
    new = settings_file(tmp_path, lifecycle={"at_risk_after": "90d"})
    result = segflow("simulate", "--settings", new, log)
    assert result.code == 0, result.err
    assert "lifecycle: 40 would move" in result.out
    assert "at_risk to new: c1, c2, c3" in result.out
    assert "rfm: 0 would move" in result.out


def test_options_of_files_do_not_go_with_redis(tmp_path: Path) -> None:
    """There it is the definition in force, and now."""
    result = segflow("simulate", "--settings", settings_file(tmp_path), "--until", "2024-01-01T00:00:00Z")
    assert result.code == 2
    assert "go with files" in result.err


def test_a_picture_of_nobody_is_a_picture() -> None:
    """An empty Redis is no error."""
    comparison = over_stores(control_of(Settings()), Settings(), [Engine().shard.store], UNKNOWN, 1)
    assert comparison.customers == 0
    ET.fromstring(svg(comparison))  # noqa: S314 - our own text


def test_with_until_later_events_are_left_out_and_counted(tmp_path: Path) -> None:
    """The comparison is at that moment, though the file goes on: an option that is ignored is a wrong answer."""
    file = tmp_path / "log.jsonl"
    body = {"type": "purchase", "customer_id": "c", "amount": "5"}
    days = ("2024-01-01", "2024-06-01")
    events = [body | {"event_id": day, "order_id": day, "occurred_at": f"{day}T00:00:00Z"} for day in days]
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    new = settings_file(tmp_path, lifecycle={"at_risk_after": "90d"})
    found = json.loads(segflow("simulate", "--settings", new, file, "--json", "--until", "2024-03-15T00:00:00Z").out)
    assert found["left_out"] == 1
    assert found["dimensions"]["lifecycle"]["moves"] == [
        {"from": "at_risk", "to": "new", "customers": 1, "sample": ["c"]}
    ]
    assert (
        "1 events are later than --until"
        in segflow("simulate", "--settings", new, file, "--until", "2024-03-15T00:00:00Z").out
    )
