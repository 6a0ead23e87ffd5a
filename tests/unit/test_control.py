"""The control topic: what an earlier version wrote is read as it was meant."""

import json
from typing import Any

from schemas.settings import Settings
from streams.control import Control, definition_of

OLD_CUTS = {
    "kind": "cuts",
    "at_us": 10,
    "population": 600,
    "recency_us": [1, 2, 3, 4],
    "frequency": [2, 3, 4, 5],
    "monetary_minor": [5, 6, 7, 8],
}


def read_by(settings: Settings, *contents: dict[str, Any]) -> Control:
    """A worker that has read these records from the beginning of the topic."""
    control = Control(settings)
    for offset, content in enumerate(contents):
        control._take(offset, json.dumps(content).encode())
    return control


def test_a_definition_of_before_is_the_same_definition() -> None:
    """As it was before `recut` had a section of its own, before windows and lengths of slots; with defaults and not."""
    for own in ({}, {"recut": {"every": "2h", "min_population": 7}}):
        settings = Settings.model_validate(own)
        now = definition_of(settings)
        recut = now["recut"]
        rfm = now["rfm"] | {"recut_every": recut["every"], "min_population": recut["min_population"]}
        del rfm["window"]
        before = {name: part for name, part in now.items() if name not in ("recut", "slot")} | {"rfm": rfm}
        control = read_by(settings, {"kind": "definition", "content": before})
        assert control._definition == now


def test_cuts_without_those_of_value_leave_them_as_the_settings_have_them() -> None:
    """Version, quintiles, and value's fixed thresholds."""
    settings = Settings()
    control = read_by(settings, {"kind": "definition", "content": definition_of(settings)}, OLD_CUTS)
    cuts = control.rulebook.latest.cuts
    assert (cuts.version, cuts.monetary_minor, cuts.value_minor) == (1, (5, 6, 7, 8), (25_000, 100_000))
    control = read_by(
        settings, {"kind": "definition", "content": definition_of(settings)}, OLD_CUTS | {"value_minor": [4, 9]}
    )
    assert control.rulebook.latest.cuts.value_minor == (4, 9)


def test_a_count_without_sums_of_money_is_a_count() -> None:
    """One shard that counted before there was `value`, one after."""
    settings = Settings()
    old = {"kind": "histogram", "at_us": 5, "partition": 0, "recency": [], "frequency": [[1, 3]], "monetary": [[9, 3]]}
    new = old | {"partition": 1, "money": [[9, 33]]}
    control = read_by(settings, {"kind": "definition", "content": definition_of(settings)}, old, new)
    complete = control.histograms.complete(2)
    assert complete is not None
    assert (complete[1].population, dict(complete[1].money)) == (6, {9: 33})
