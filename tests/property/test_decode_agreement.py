"""The fast path reads every record as the contract does, or leaves it to the contract."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segflow.engine.columns.events import INTERACTIONS, PURCHASES, Chunk
from segflow.engine.decode.json_text import NESTING_MAX
from segflow.engine.decode.records import Decoder, _Columns, _Fast
from segflow.schemas.settings import Settings
from tests.support.trials import trials

EVERY = ("lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "churn", "clv", "payment")
SETTINGS = (
    Settings(dimensions=EVERY),
    Settings.model_validate({"currency": "JPY", "rates": {"EUR": "163.2", "KWD": "501"}, "dimensions": EVERY[::-1]}),
    Settings.model_validate(
        {"currency": "KWD", "rates": {"USD": "0.3074"}, "facts": "listed", "worker": {"record_max_bytes": 256}}
    ),
)
TOPICS = (None, PURCHASES, INTERACTIONS)


class Contract(Decoder):
    """A decoder that leaves everything to pydantic."""

    def _add_fast(self, columns: _Columns, fast: _Fast) -> bool:
        del columns, fast
        return False


TIMES = (
    '"2024-02-29T23:59:59Z"',
    '"2023-02-29T00:00:00Z"',
    '"2024-03-01T00:00:00.1Z"',
    '"2024-03-01T00:00:00.123456Z"',
    '"2024-03-01T00:00:00.123456999Z"',
    '"2024-03-01T00:00:00.1234567891234Z"',
    '"2024-03-01t00:00:00z"',
    '"2024-03-01 00:00:00Z"',
    '"2024-03-01T00:00:00+02:00"',
    '"2024-03-01T00:00:00-00:00"',
    '"2024-03-01T00:00:00.5+23:59"',
    '"2024-03-01T00:00:00+24:00"',
    '"2024-03-01T00:00:00"',
    '"2024-03-01T00:00:00."',
    '"2024-03-01T00:00:00.Z"',
    '"2024-03-01T24:00:00Z"',
    '"2024-03-01T23:60:00Z"',
    '"2024-03-01T23:59:60Z"',
    '"2024-13-01T00:00:00Z"',
    '"2024-00-01T00:00:00Z"',
    '"2024-03-00T00:00:00Z"',
    '"0001-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+01:00"',
    '"9999-12-31T23:59:59.999999Z"',
    '"9999-12-31T23:59:59-01:00"',
    '"0000-01-01T00:00:00Z"',
    '"2024-03-01T00:00:0éZ"',
    '"\uff12\uff10\uff12\uff14-03-01T00:00:00Z"',
    '"2024-03-01"',
    '"20240301T000000Z"',
    "1709251200",
)
NUMBERS = (
    *("0", "-0", "1", "12.5", "12.50", "12.505", "0.005", "012", "1.", ".5", "+1", "-1", "1e2", "1E+2", "1.5e-1", "1e"),
    *("999999999999", "999999999999.99", "1000000000000", "1e11", "1e12", "1e400", "1e1000000", "-1e1000000"),
    *("1e-300", "1e-301", "1e-1000000", "0e1000000", "1e99999999999999999999", "-1e-99999999999999999999"),
    *("9" * 600, "9" * 601, "9" * 5000, "0." + "3" * 400, "NaN", "Infinity", "-Infinity", "1_000", "0x10"),
)
STRINGS = (
    *('""', '"c1"', '"\\u0063\\u0031"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"é😀"', '"\\u0000"'),
    *('"a\\n\\t\\"\\\\\\/"', '"\\x"', '"\\u12"', '"\x01"', '"\n"', '"\x7f"', '"unclosed', "'c1'"),
    *(f'"{"x" * length}"' for length in (128, 129, 256, 257)),
    *(f'"{"😀" * length}"' for length in (128, 129)),
    *('"EUR"', '"JPY"', '"USD"', '"eur"', '"EURO"', '"XXX"', '"EUR\\n"', '"purchase"', '"refund"', '"interaction"'),
    *(f'"{number}"' for number in NUMBERS),
    *('" 1"', '"1 "', '"1\\u0030"', '"\u0661"'),
)
OTHERS = (
    *("true", "false", "null", "tru", "[]", "{}", "[1,]", '{"a":1,}', '{"a":[1,{"b":null}]}', "{1:2}", '{"a":1,"a":2}'),
    *("[" * 50 + "]" * 50, "[" * NESTING_MAX + "]" * NESTING_MAX, '{"a":' * 300 + "1" + "}" * 300, "[" * 5000),
    *('"' + "[{" * 300 + '"', "[" + ",".join(["[]"] * 300) + "]"),
)
odd = st.sampled_from(TIMES + NUMBERS + STRINGS + OTHERS)
plain_times = st.datetimes().map(lambda moment: f'"{moment.isoformat()}Z"')
amounts = st.one_of(
    st.decimals(0, 10**13, allow_nan=False, places=2).map(str),
    st.decimals(0, 10**4, allow_nan=False).map(str),
    st.integers(0, 10**13).map(lambda number: f'"{number}"'),
    st.floats(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(NUMBERS),
)
plain_amounts = st.sampled_from(["0", "1", "12.5", '"12.50"', '"1e2"', "99.99", "999999999999"])
FIELDS = {
    "purchase": ("order_id", "amount"),
    "refund": ("order_id", "amount"),
    "interaction": ("kind",),
    "feedback": ("score",),
    "payment": ("invoice_id", "due_at", "paid_at", "amount"),
    "profile": ("attributes",),
    "alias": ("previous_id",),
    "erase": (),
}
OPTIONAL = ("source", "channel", "currency", "discount", "full", "kind", "order_id", "unknown", "amount", "Type", "")
VALUES = {
    "event_id": st.sampled_from(['"e1"', '"e2"', '"e\\u0031"']),
    "customer_id": st.sampled_from(['"c1"', '"ü"', '"\\u00fc"']),
    "occurred_at": plain_times | plain_times | st.sampled_from(TIMES),
    "amount": plain_amounts | amounts,
    "discount": plain_amounts | amounts,
    "currency": st.sampled_from(['"EUR"', '"JPY"', '"KWD"', '"USD"']),
    "score": st.integers(-1, 11).map(str),
    "due_at": plain_times,
    "paid_at": plain_times | st.just("null"),
    "full": st.sampled_from(["true", "false"]),
    "kind": st.sampled_from(['"view"', '"open"', '"login"', '"purchase"', '"\\u0076iew"', '"Kauf"']),
    "attributes": st.sampled_from(['{"a":1,"b":null,"c":"x","d":1.5}', '{"a":1e1000000}', '{"\\ud800":1}', '{"":1}']),
}
SPACES = ("", "", "", "", " ", "\n", "\t\r", "\x0b", "\u00a0", "\ufeff", "\x00", "//\n")


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """A record of any type: valid, odd in a few places, or spoilt in its bytes."""
    kind = draw(st.sampled_from(sorted(FIELDS)) | st.sampled_from(["purchase", "interaction"]))
    names = ["type", "event_id", "customer_id", "occurred_at", *FIELDS[kind]]
    names += draw(st.lists(st.sampled_from(OPTIONAL), max_size=2))
    pairs = [(f'"{name}"', draw(VALUES.get(name, st.just('"x1"')))) for name in names]
    pairs[0] = ('"type"', f'"{kind}"')
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        place = draw(st.integers(0, len(pairs) - 1))
        name, value = pairs[place]
        change = draw(st.sampled_from(["value", "value", "drop", "repeat", "escape", "move"]))
        if change == "value":
            pairs[place] = (name, draw(odd))
        elif change == "repeat":
            pairs.insert(draw(st.integers(0, len(pairs))), (name, draw(odd)))
        elif change == "escape" and len(name) > 2:
            pairs[place] = (f'"\\u{ord(name[1]):04x}{name[2:]}', value)
        else:
            del pairs[place]
            if change == "move":
                pairs.append((name, value))
            pairs = pairs or [(name, value)]
    space = st.sampled_from(SPACES)
    spaces = [draw(space) if draw(st.integers(0, 15)) == 0 else "" for _ in range(4)]
    body = ",".join(f"{spaces[0]}{name}{spaces[1]}:{value}{spaces[2]}" for name, value in pairs)
    return draw(spoilt((spaces[3] + "{" + body + "}" + spaces[2]).encode()))


@st.composite
def spoilt(draw: st.DrawFn, value: bytes) -> bytes:
    """Mostly `value` as it is; else with bytes flipped, lost, put in, or cut off."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2]))):
        place = draw(st.integers(0, len(value)))
        change = draw(st.sampled_from(["flip", "lose", "insert", "cut"]))
        if change == "flip" and place < len(value):
            value = value[:place] + bytes([value[place] ^ (1 << draw(st.integers(0, 7)))]) + value[place + 1 :]
        elif change == "lose":
            value = value[:place] + value[place + 1 :]
        elif change == "insert":
            value = value[:place] + draw(st.binary(min_size=1, max_size=3)) + value[place:]
        else:
            value = value[:place]
    return value


def rows(chunk: Chunk) -> list[tuple[object, ...] | None]:
    """Each usable record's columns; None where it is not."""
    columns = zip(
        chunk.usable.tolist(),
        chunk.offsets.tolist(),
        chunk.kinds.tolist(),
        chunk.occurred_us.tolist(),
        chunk.identities.tolist(),
        chunk.amounts_minor.tolist(),
        chunk.full.tolist(),
        *(np.asarray(column).tolist() for _, column in sorted(chunk.more.items())),
        chunk.customer_ids,
        chunk.event_ids,
        strict=True,
    )
    return [row if row[0] else None for row in columns]


def needed(product: Settings) -> set[str]:
    """The columns that the facts need that the settings keep, beside those of all."""
    column = {"price": "discounted", "satisfaction": "score", "engagement": "level_log2", "payment": "invoice"}
    return {column[name] for name in (*product.dimensions, *product.models_kept()) if name in column}


def agreed(
    product: Settings, topic: int | None, values: Sequence[bytes | None], keys: Sequence[bytes | None] | None
) -> Chunk:
    """What the fast decoder makes of a batch, after holding it against the contract's."""
    offsets = range(100, 100 + len(values))
    fast = Decoder(product, topic).decode(values, keys, offsets)
    slow = Contract(product, topic).decode(values, keys, offsets)
    assert rows(fast) == rows(slow)
    assert set(fast.more) == needed(product)
    for chunk in (fast, slow):
        assert sorted(chunk.unusable) == [row for row, usable in enumerate(chunk.usable.tolist()) if not usable]
    for row, why in fast.unusable.items():
        assert why == slow.unusable[row] or why.kind == "key_mismatch"  # the key is looked at before an odd time is
        assert why.reason.encode()
    return fast


@given(
    values=st.lists(records() | st.none(), min_size=1, max_size=4),
    key=st.sampled_from(["none", "none", "right", "right", "c1"]),
    product=st.sampled_from(SETTINGS[:1] * 3 + SETTINGS),
    topic=st.sampled_from(TOPICS[:1] * 5 + TOPICS),
)
@trials(600)
def test_the_fast_path_agrees_with_the_contract_on_every_record(
    values: list[bytes | None], key: str, product: Settings, topic: int | None
) -> None:
    """Usable or not, and every column, whatever a record looks like and whatever stands beside it in the batch."""
    keys: list[bytes | None] | None = [b"c1", None, b"\xff", b"c1"][: len(values)]
    if key == "none":
        keys = None
    elif key == "right":
        keys = [each.encode() for each in agreed(product, topic, values, None).customer_ids]
    agreed(product, topic, values, keys)


@given(value=st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
@trials(150)
def test_bytes_that_are_nothing_are_refused_by_both(value: bytes) -> None:
    """Random bytes and random text are no event."""
    assert not agreed(SETTINGS[0], None, [value], None).usable.any()


PURCHASE = (
    '{"type":"purchase","event_id":"e","customer_id":"c","order_id":"o","occurred_at":"2024-01-01T00:00:00Z","amount":1'
)


@pytest.mark.parametrize("text", TIMES + NUMBERS + STRINGS + OTHERS, ids=lambda text: f"{text[:24]!r}")
def test_every_odd_value_in_every_field_is_read_as_the_contract_reads_it(text: str) -> None:
    """In a known field, as a repeat that wins, as one that is overwritten, and in a field nobody knows."""
    values = [f'{PURCHASE},"{name}":{text}}}'.encode() for name in (*VALUES, *OPTIONAL, "type")]
    values += [f'{{"{name}":{text},{PURCHASE[1:]}}}'.encode() for name in (*VALUES, *OPTIONAL, "type")]
    for product in SETTINGS:
        agreed(product, None, values, None)


@pytest.mark.parametrize(
    "text", ["9" * 5000, "1e99999999999999999999", "1e1000000", '"\\ud800"', "[" * 190 + "]" * 190]
)
def test_a_field_nobody_knows_spoils_no_event_however_odd_its_value(text: str) -> None:
    """JSON has no limit to its numbers, and unknown fields are ignored."""
    assert agreed(SETTINGS[0], None, [f'{PURCHASE},"unknown":{text}}}'.encode()], None).usable.all()


def at_depth(decoder: Decoder, value: bytes, frames: int) -> bool:
    """Whether the record is usable when it is read with `frames` more calls on the stack."""
    if frames:
        return at_depth(decoder, value, frames - 1)
    return bool(decoder.decode([value], None, [0]).usable[0])


@pytest.mark.parametrize("decoder", [Decoder(SETTINGS[0], None), Contract(SETTINGS[0], None)])
def test_how_deep_a_record_may_nest_does_not_depend_on_who_reads_it(decoder: Decoder) -> None:
    """A record that was read once is read the same again, from however deep in a program."""
    for levels, usable in ((NESTING_MAX - 1, True), (NESTING_MAX, False), (3000, False)):
        value = f'{PURCHASE},"unknown":{"[" * levels}{"]" * levels}}}'.encode()
        assert [at_depth(decoder, value, frames) for frames in (0, 300, 500)] == [usable] * 3


def test_brackets_within_strings_and_beside_each_other_are_no_nesting() -> None:
    """Only what is nested counts, and telling so takes no longer than reading."""
    flat = '"' + "[" * 1000 + '\\"[",' + "[" + ",".join(["{}"] * 1000) + "]"
    assert agreed(SETTINGS[0], None, [f'{PURCHASE},"a":[{flat}]}}'.encode()], None).usable.all()
    endless = ('{"a":"' + '\\"[' * 20_000).encode()
    assert agreed(SETTINGS[0], None, [endless], None).unusable[0].kind == "not_json"


@given(value=records())
@trials(150)
def test_a_record_is_read_the_same_alone_and_in_any_batch(value: bytes) -> None:
    """Columns of a batch do not leak from one record to its neighbours."""
    decoder = Decoder(SETTINGS[0], None)
    alone = rows(decoder.decode([value], None, [7]))
    good = f"{PURCHASE}}}".encode()
    short = good.replace(b"00Z", b"00.5Z")
    batch = [good, value, short, value, good]
    together = rows(decoder.decode(batch, None, [1, 7, 2, 7, 3]))
    assert together[1] == together[3] == alone[0]
    assert all(row is not None for row in together[::2])


@pytest.mark.parametrize("decoder", [Decoder, Contract])
def test_what_only_some_dimensions_need_is_read_by_hand(decoder: type[Decoder]) -> None:
    """Discounts of a minor unit or more in any notation and currency, scores, and weights: log2 plus half-lives."""
    product = Settings.model_validate(
        {"dimensions": EVERY, "rates": {"USD": "0.9"}, "engagement": {"weights": {"cart": 4, "refund": 0}}}
    )
    common = '"event_id":"e","customer_id":"c","occurred_at":"1970-01-15T00:00:00Z"'  # one half-life
    purchase = f'{{"type":"purchase","order_id":"o","amount":1,{common}'
    discounts = ["0", "0.00", '"0"', "0e5", "0.001", "5", '"1e-9"', '5,"currency":"USD"']
    values = [f'{purchase},"discount":{discount}}}' for discount in discounts]
    values += [f'{{"type":"feedback","score":8,{common}}}', f'{{"type":"interaction","kind":"cart",{common}}}']
    values += [f'{{"type":"refund","order_id":"o","amount":1,{common}}}', "{}"]
    found = decoder(product, None).decode([value.encode() for value in values], None, range(len(values)))
    assert found.more["discounted"].tolist() == [False] * 5 + [True, False, True] + [False] * 4
    assert found.more["score"].tolist() == [0] * 8 + [8, 0, 0, 0]
    nothing = float("-inf")
    assert found.more["level_log2"].tolist() == [1.0] * 8 + [nothing, 3.0, nothing, nothing]
    listed = Settings.model_validate({"facts": "listed"})
    assert decoder(listed, None).decode([values[0].encode()], None, [0]).more == {}
