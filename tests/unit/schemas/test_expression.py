"""The language of rules: what is refused, and where; whole columns give what is read one customer at a time."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from segflow.schemas.expression import meaning, syntax
from segflow.schemas.expression.checking import check
from segflow.schemas.expression.syntax import DEPTH_MAX, LENGTH_MAX, ExpressionError, parse
from segflow.schemas.expression.wording import condition_text
from segflow.schemas.rule_dimensions import key_of
from segflow.segments.attributes import ENTRY, Attributes, kind_and_bits
from segflow.segments.conditions import Customers, turns
from segflow.segments.conditions import holds as holds_of
from segflow.segments.facts import Facts
from segflow.segments.instant import DAY_US, LATEST_US, NEVER, UNKNOWN, to_us
from tests.support.expressions import NAMES, One, UndecidableError, conditions, holds
from tests.support.trials import trials

DIMENSIONS = {"lifecycle": ("new", "at_risk", "churned"), "value": ("a", "b", "none")}
OTHERS = {"churn": "churn is not among the dimensions before this one"}
CUSTOMERS = 60
START_US = to_us(datetime(2024, 3, 1, tzinfo=UTC))
VALUES: tuple[Any, ...] = (None, True, False, 0.0, 1.0, 2.5, 70.0, -3.0, "DE", "AT", "")


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("", 1, 1, "a value is missing"),
        ("attributes.age >", 1, 17, "a value is missing"),
        ("attributes.age", 1, 1, None),
        ("frequency", 1, 1, "is no condition"),
        ("frequency = 3", 1, 11, "write == to compare"),
        ("frequency > 3\n  and monetry > 10", 2, 7, "'monetry' is nothing known"),
        ("lifecycle == 'at_risc'", 1, 14, "lifecycle has no label 'at_risc': it has new, at_risk, churned"),
        ("lifecycle in ['new', 'at_risc']", 1, 22, "lifecycle has no label 'at_risc'"),
        ("lifecycle == 3", 1, 14, "compared with its labels in quotes"),
        ("lifecycle", 1, 1, "compare it, as in lifecycle == 'new'"),
        ("lifecycle > 'new'", 1, 11, "== and != only"),
        ("lifecycle == value", 1, 14, "compared with its labels in quotes"),
        ("churn == 'high'", 1, 1, "churn is not among the dimensions before this one"),
        ("idle >= 45", 1, 6, "a duration cannot be compared with a number: durations are written with a unit"),
        ("idle >= attributes.days", 1, 6, "an attribute of days is attributes.x * 1d"),
        ("idle == 45d", 1, 6, "equal for a moment only"),
        ("idle * tenure >= 4d", 1, 6, "multiplied with"),
        ("1 / 1d > 2", 1, 3, "a number cannot be divided by a duration"),
        ("10d / idle > 2", 1, 5, "what changes as time passes"),
        ("1d * 1d > 2d", 1, 4, "durations cannot be multiplied"),
        ("idle + 3 > 2d", 1, 6, "do not add up"),
        ("frequency > 45dd", 1, 13, "no number and no duration"),
        ("idle > 99999999999d", 1, 8, "is no duration"),
        ("attributes.x == 'DE", 1, 17, "this text has no end"),
        ("attributes.x in 'DE'", 1, 17, "'[' is missing"),
        ("attributes.x in ['DE'", 1, 22, "']' is missing"),
        ("attributes.x is there", 1, 17, "'present' is missing"),
        ("attributes x", 1, 12, "'.' is missing"),
        ("attributes.'x' > 1", 1, 12, "which attribute?"),
        ("1 < frequency < 5", 1, 15, "cannot be chained"),
        ("frequency > 3 frequency", 1, 15, "'frequency' is not expected here"),
        ("(frequency > 3", 1, 15, "')' is missing"),
        ("frequency > 3 and and", 1, 19, "'and' is not expected here"),
        ("__import__('os')", 1, 11, "'(' is not expected here"),
        ("frequency.__class__ > 1", 1, 10, "'.' is not expected here"),
        ("frequency > 3; true", 1, 14, "';' means nothing here"),
        ("frequency > 1 / 0", 1, 15, "divided by zero"),
        ("(" * (DEPTH_MAX + 1) + "true" + ")" * (DEPTH_MAX + 1), 1, DEPTH_MAX + 1, "nested deeper"),
        ("not " * (DEPTH_MAX + 1) + "true", 1, 4 * DEPTH_MAX + 1, "nested deeper"),
        ("- " * (DEPTH_MAX + 1) + "1 > 0", 1, 2 * DEPTH_MAX + 1, "nested deeper"),
        ("true or " * 1000, 1, LENGTH_MAX + 1, "longer than"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_column(text: str, line: int, column: int, problem: str | None) -> None:
    """The first thing that does not fit, where it stands."""
    if problem is None:
        check(text, DIMENSIONS, OTHERS)
        return
    with pytest.raises(ExpressionError) as found:
        check(text, DIMENSIONS, OTHERS)
    assert (found.value.line, found.value.column) == (line, column)
    assert problem in str(found.value)


words = st.sampled_from(
    ["and", "or", "not", "(", ")", "[", "1", "2d", "idle", "'x'", "==", ">", "-", "attributes", ".", "a", "in"]
)


@given(st.text(max_size=60) | st.lists(words).map(" ".join))
@trials(300)
def test_any_text_is_an_expression_or_an_error_with_a_place(text: str) -> None:
    """Nothing else comes of it."""
    at = 0
    try:
        check(text, DIMENSIONS, OTHERS)
    except ExpressionError as error:
        at = error.at
    assert 0 <= at <= len(text)


def some_customers(dice: np.random.Generator) -> tuple[Customers, list[One], Any]:
    """Customers as columns, each alone, and a moment for each: on the thresholds or a microsecond beside them."""
    shape = CUSTOMERS
    last_us = START_US + dice.integers(0, 100, shape) * 900_000_000 + dice.choice([0, 0, 250_000], shape)
    last_us = np.where(dice.random(shape) < 0.05, LATEST_US - DAY_US * 20, last_us)
    first_us = last_us - dice.choice([0, DAY_US, 30 * DAY_US, 400 * DAY_US], shape)
    nobody = dice.random(shape) < 0.2
    purchases = np.where(nobody, 0, dice.integers(1, 6, shape))
    spans_us = np.array([0, 1, 500_000, 90_000_000, DAY_US // 2, DAY_US, 15 * DAY_US, 30 * DAY_US, 45 * DAY_US])
    at_us = np.minimum(last_us + dice.choice(spans_us, shape) + dice.integers(-1, 2, shape), LATEST_US)
    chosen = dice.integers(0, len(VALUES), (shape, len(NAMES)))
    keys = tuple(sorted(map(key_of, NAMES)))
    entries = np.zeros((shape, len(NAMES)), dtype=ENTRY)
    for row in range(shape):
        for place, name in enumerate(NAMES):
            value = VALUES[chosen[row, place]]
            if value is not None or dice.random() < 0.5:  # removed, or never told
                entries[row, keys.index(key_of(name))] = (key_of(name), 0, *kind_and_bits(value))
    facts = Facts(
        first_us=np.where(nobody, UNKNOWN, first_us),
        last_us=np.where(nobody, UNKNOWN, last_us),
        before_last_us=np.full(shape, UNKNOWN),
        purchases=purchases,
        full_refunds=dice.choice([0, 0, 1, 9], shape),
        net_minor=dice.choice([0, 10, 250, 7000, -300, 12345], shape),
        attributes=Attributes(keys, entries),
    )
    codes = {name: dice.integers(0, len(labels), shape).astype(np.uint8) for name, labels in DIMENSIONS.items()}
    customers = Customers(facts=facts, codes=codes, models=DIMENSIONS, minor=100)
    ones = [
        One(
            at_us=int(at_us[row]),
            last_us=None if nobody[row] else int(last_us[row]),
            first_us=None if nobody[row] else int(first_us[row]),
            numbers={
                "frequency": float(facts.orders[row]),
                "monetary": float(facts.net_minor[row]) / 100,
                "purchases": float(purchases[row]),
                "full_refunds": float(facts.full_refunds[row]),
            },
            attributes={
                name: VALUES[chosen[row, place]]
                for place, name in enumerate(NAMES)
                if VALUES[chosen[row, place]] is not None
            },
            labels={name: DIMENSIONS[name][codes[name][row]] for name in DIMENSIONS},
        )
        for row in range(shape)
    ]
    return customers, ones, at_us


@given(text=conditions(DIMENSIONS), seed=st.integers(0, 2**32))
@example(text="( ( idle - idle ) + - ( 1 / attributes.a ) * 1d ) / 1d <= - ( 1 / attributes.a )", seed=0)
@trials(200)
def test_whole_columns_give_what_is_read_of_one_customer_at_a_time(text: str, seed: int) -> None:
    """Absent values, kinds, labels, arithmetic and crossings, with microseconds to either side."""
    customers, ones, at_us = some_customers(np.random.default_rng(seed))
    node = parse(text)
    found = holds_of(check(text, DIMENSIONS, OTHERS), customers, at_us).tolist()
    for row, one in enumerate(ones):
        try:
            expected = holds(node, one)
        except UndecidableError:
            continue
        assert found[row] == expected, (text, one)


@given(text=conditions(DIMENSIONS), seed=st.integers(0, 2**32))
@trials(60)
def test_a_condition_holds_or_not_until_its_next_turn(text: str, seed: int) -> None:
    """Constant on [at, turn), and the turns come to an end."""
    dice = np.random.default_rng(seed)
    customers, _, at_us = some_customers(dice)
    condition = check(text, DIMENSIONS, OTHERS)
    for _ in range(40):
        turn_us = turns(condition, customers, at_us)
        assert (turn_us > at_us).all()
        now = holds_of(condition, customers, at_us)
        last_us = np.minimum(turn_us - 1, LATEST_US)
        assert (holds_of(condition, customers, last_us) == now).all()
        between_us = at_us + ((last_us - at_us) * dice.random(len(at_us))).astype(np.int64)
        assert (holds_of(condition, customers, np.clip(between_us, at_us, last_us)) == now).all()
        if (turn_us == NEVER).all():
            break
        at_us = np.where(turn_us == NEVER, at_us, turn_us)
    else:
        pytest.fail("a condition turns for ever")


def test_sums_of_times_turn_to_the_microsecond_and_computed_ones_at_whole_seconds() -> None:
    """The latest purchase is half a second after a whole one."""
    last_us = START_US + 500_000
    facts = Facts(
        first_us=np.array([last_us - 7]),
        last_us=np.array([last_us]),
        before_last_us=np.array([UNKNOWN]),
        purchases=np.array([1]),
        full_refunds=np.array([0]),
        net_minor=np.array([0]),
    )
    customers = Customers(facts=facts, codes={}, models={}, minor=100)
    for text, after_us in [
        ("idle >= 45d", 45 * DAY_US),
        ("idle > 45d", 45 * DAY_US + 1),
        ("idle < 45d", 45 * DAY_US),
        ("idle <= 45d", 45 * DAY_US + 1),
        ("45d <= idle", 45 * DAY_US),
        ("tenure >= 45d", 45 * DAY_US - 7),
        ("idle + tenure >= 90d", 45 * DAY_US - 3),
        ("idle - 15d >= 2 * 15d", 45 * DAY_US),
        ("idle / 1d >= 45", 45 * DAY_US + 500_000),
        ("idle * 1 > 45d", 45 * DAY_US + 500_000),
        ("idle >= frequency * 45d", 45 * DAY_US + 500_000),
    ]:
        turn_us = turns(check(text, {}, {}), customers, np.array([last_us]))
        assert turn_us.tolist() == [last_us + after_us], text


def test_what_a_condition_looks_at_is_known() -> None:
    """Attributes, for they are kept for it alone; dimensions, whose change may change it."""
    text = "attributes.a > 1 and (not attributes['b c'] is present or idle >= attributes.d * 1d) and value == 'a'"
    condition = check(text, DIMENSIONS, OTHERS)
    assert meaning.attributes(condition) == {"a", "b c", "d"}
    assert meaning.dimensions(condition) == {"value"}
    assert syntax.names("value == 'churn' and idle > 3d or") == {"value", "idle"}


@given(text=conditions(DIMENSIONS), seed=st.integers(0, 2**32))
@trials(100)
def test_a_comparison_in_words_means_the_same(text: str, seed: int) -> None:
    """Read again, it holds of the same customers; but where durations are rounded, and where no label is left."""
    customers, _, at_us = some_customers(np.random.default_rng(seed))
    for part in meaning.parts(check(text, DIMENSIONS, OTHERS)):
        if isinstance(part, meaning.Joined | meaning.Opposite):
            continue
        words = condition_text(part)
        if words.endswith("in []") or not all(whole_spans(part)):
            continue
        read = holds_of(check(words, DIMENSIONS, OTHERS), customers, at_us)
        assert (read == holds_of(part, customers, at_us)).all(), words


def whole_spans(part: Any) -> list[bool]:
    """Whether each constant of a comparison with durations is whole microseconds, a number a small one."""
    if isinstance(part, meaning.Constant):
        return [isinstance(part.value, int) or abs(part.value) < 1000]
    return [each for name in getattr(part, "__slots__", ()) for each in whole_spans(getattr(part, name))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30d<=idle", "idle >= 30d"),
        ("lifecycle != 'new'", "lifecycle in ['at_risk', 'churned']"),
        ("attributes.x", "attributes.x == true"),
        ("attributes['a b'] not in ['DE', 2.50]", "attributes['a b'] not in ['DE', 2.5]"),
        ("idle - (tenure - 1w/2) > -1h", "idle - (tenure - 84h) > -1h"),
        ("monetary / (frequency + 1) >= 30", "monetary / (frequency + 1) >= 30"),
        ("attributes.days * 1d < 90s - tenure", "attributes.days * 1d < 90s - tenure"),
        ("idle / 1d >= 3", "idle / 1d >= 3"),
        ("idle >= 1d / 7", "idle >= 0.142857 * 1d"),
        ("idle is not present", "idle is present"),
    ],
)
def test_comparisons_in_words(text: str, words: str) -> None:
    """As a person would write them."""
    (part,) = [
        each for each in meaning.parts(check(text, DIMENSIONS, OTHERS)) if not isinstance(each, meaning.Opposite)
    ]
    assert not isinstance(part, meaning.Joined)
    assert condition_text(part) == words


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (f"monetary > 1{'0' * 400} * 2", 12),
        (f"monetary > 1{'0' * 101}", 12),
        (f"monetary > 1{'0' * 60} * 1{'0' * 60}", 74),
        ("idle >= " + " + ".join(["3652059d"] * 60), 18),
        ("idle >= 3652059d * 2", 18),
        (f"attributes.a in [1{'0' * 200}]", 18),
    ],
)
def test_constants_that_nothing_reaches_are_refused_with_their_place(text: str, column: int) -> None:
    """They used to end in a traceback, when settings were read or at the first event."""
    with pytest.raises(ExpressionError, match="which nothing reaches") as refused:
        check(text, {}, {})
    assert refused.value.column == column
