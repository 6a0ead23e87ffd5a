"""Dimensions added and taken away amid a history: where all facts are kept, nobody could tell afterwards."""

from datetime import timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.advance.erasures import start_labels
from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.model import label_of
from segflow.segments.rules import from_settings
from segflow.state import record
from segflow.state.redirect import is_redirect
from tests.support.events import Log
from tests.support.histories import ATTRIBUTES, CUSTOMERS, histories, varied_moments
from tests.support.lockstep import Engine, cut
from tests.support.translation import CONDITIONS
from tests.support.trials import trials

AHEAD: Final = {"facts": {"models": "all", "attributes": [*ATTRIBUTES, "unheard_of"]}}
MOOD: Final = {"rules": [{"label": f"m{n}", "when": when} for n, when in enumerate(CONDITIONS)], "otherwise": "none"}
"""Of every condition on attributes there is."""
DIMENSIONS: Final = (*BUILT_IN, "mood")
MOMENTS: Final = varied_moments(timedelta(microseconds=1))
some_dimensions = st.lists(st.sampled_from(DIMENSIONS), min_size=1, unique=True).map(tuple)
turns = st.lists(st.tuples(st.integers(0, 40), some_dimensions), min_size=1, max_size=4)


def settings_with(names: tuple[str, ...]) -> Settings:
    """Settings with these dimensions, under which every fact is kept."""
    rules = {"rule_dimensions": {"mood": MOOD}} if "mood" in names else {}
    return Settings.model_validate(AHEAD | {"dimensions": names} | rules)


def labels(engine: Engine) -> dict[str, dict[str, str]]:
    """What each customer is, by dimension."""
    rules = engine.rule_versions.latest
    stored = dict(zip(CUSTOMERS, engine.shard.store.load(list(CUSTOMERS)), strict=True))
    held = {who: value for who, value in stored.items() if value is not None and not is_redirect(value)}
    customers = record.decode(list(held), list(held.values()), start_labels(rules), 0, rules.kept)
    assert (customers.fixed["rules"] == rules.version).all()
    codes = customers.labels(rules.names).tolist()
    return {
        who: {model.name: label_of(model, code) for model, code in zip(rules.models, mine, strict=True)}
        for who, mine in zip(held, codes, strict=True)
    }


def define(engine: Engine, settings: Settings) -> None:
    """A new definition, which the shard adopts in its next commit."""
    version = engine.rule_versions.latest.version + 1
    engine.rule_versions.add_definition(from_settings(settings, definition=version))


@given(
    log=histories(40, MOMENTS, varied=True, erasing=True, merging=True),
    first=some_dimensions,
    turns=turns,
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
)
@trials(100)
def test_a_dimension_of_any_moment_gives_the_labels_it_would_have_given_from_the_beginning(
    log: Log, first: tuple[str, ...], turns: list[tuple[int, tuple[str, ...]]], sizes: list[int]
) -> None:
    """Also one that was taken away in between; beside late events, repeats, erases and merges, after every batch."""
    whole, part = Engine(settings_with(DIMENSIONS)), Engine(settings_with(first))
    due = sorted(turns, key=lambda turn: turn[0])
    done = 0
    for batch in cut(log, sizes):
        while due and due[0][0] <= done:
            define(part, settings_with(due.pop(0)[1]))
            part.sweep()
        done += len(batch)
        for engine in (whole, part):
            engine.feed(batch)
            engine.sweep()
        names = part.rule_versions.latest.names
        assert labels(part) == {who: {name: mine[name] for name in names} for who, mine in labels(whole).items()}
