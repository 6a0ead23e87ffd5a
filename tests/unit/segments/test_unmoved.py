"""Cuts that a dimension does not look at move nobody in it; what was computed of facts is not computed again."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segflow.schemas.settings import BUILT_IN, Settings
from segflow.segments.parameters import MbgNbd
from segflow.segments.rules import Rules, from_settings
from tests.support.random_facts import moments_for, some_facts, thresholds_us
from tests.support.random_rules import some_rules
from tests.support.trials import trials

RULED = Settings.model_validate(
    {
        "dimensions": [*BUILT_IN, "own", "of_value", "of_that"],
        "rule_dimensions": {
            "own": {"rules": [{"label": "x", "when": "lifecycle == 'new' and idle > 3d"}], "otherwise": "y"},
            "of_value": {"rules": [{"label": "x", "when": "value == 'a'"}], "otherwise": "y"},
            "of_that": {"rules": [{"label": "x", "when": "of_value == 'x'"}], "otherwise": "y"},
        },
    }
)


@given(made=some_rules(), numbers=st.lists(st.integers(1, 50_000), min_size=2, max_size=2).map(sorted), data=st.data())
@trials(30)
def test_labels_of_unmoved_dimensions_and_their_deadlines_stay(
    made: tuple[Rules, Settings], numbers: list[int], data: st.DataObject
) -> None:
    """Whatever cuts move: of value, of clv, of rfm, or fitted parameters."""
    old, product = made
    cuts = data.draw(
        st.sampled_from(
            [
                replace(old.cuts, version=99, value_minor=(numbers[0], numbers[1])),
                replace(old.cuts, version=99, clv_minor=(numbers[0], numbers[1])),
                replace(old.cuts, version=99, frequency=(1, 2, 3, numbers[1])),
                replace(
                    old.cuts,
                    version=99,
                    parameters=replace(old.cuts.parameters, mbg_nbd=MbgNbd(r=1.0, alpha_weeks=2.0, a=1.5, b=3.0)),
                ),
            ]
        )
    )
    new = old.with_cuts(cuts)
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    near_us = thresholds_us(old, product)
    facts = some_facts(dice, near_us)
    at_us = moments_for(dice, facts, near_us)
    before, after = old.classify(facts, at_us), new.classify(facts, at_us)
    stays = [name in new.unmoved(old) for name in old.names]
    assert sum(stays) >= len(stays) - 2
    assert (before[:, stays] == after[:, stays]).all()
    due_us = old.deadlines(facts, at_us, before)
    assert (due_us[:, stays] == new.deadlines(facts, at_us, after)[:, stays]).all()
    held = {name: before[:, column] for column, name in enumerate(old.names) if stays[column]}
    assert (new.classify(facts, at_us, held) == after).all()


def test_rules_stay_where_what_they_look_at_does() -> None:
    """Also where they look at it through others; and another definition may move all."""
    rules = from_settings(RULED)
    other = rules.with_cuts(replace(rules.cuts, version=7, value_minor=(1, 2)))
    assert set(rules.names) - other.unmoved(rules) == {"value", "of_value", "of_that"}
    assert not from_settings(RULED).unmoved(rules)


def test_what_is_computed_of_facts_goes_with_those_who_are_taken() -> None:
    """Once for all of them, and for the rows that are taken not again."""
    facts = some_facts(np.random.default_rng(1), [1])
    asked = []

    def compute() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        asked.append(1)
        return facts.last_us + 1

    assert (facts.once("what", compute) == facts.once("what", compute)).all()
    few = facts.take(np.array([5, 3]))
    assert few.once("what", compute).tolist() == (few.last_us + 1).tolist()
    assert len(asked) == 1
