"""docs/state.md: its tables are the layout, the keys and the records of the code."""

import json
import re
from pathlib import Path

import numpy as np

from segflow.engine.commit.plan import Plan
from segflow.segments.cuts import Cuts
from segflow.segments.parameters import CDNOW
from segflow.segments.recut import PopulationHistograms
from segflow.state import head, keys
from segflow.state.head import PAGE_CUSTOMERS, Adopting, Erasures, Head, InTopic, Position
from segflow.state.keys import Keys
from segflow.state.layout import FIXED_BYTES, ID_BYTES, LAYOUT, RECORD, REMEMBERED, SECTIONS
from segflow.state.tails import TAILS
from segflow.streams.control import messages as control_messages
from segflow.streams.control import reshards, scans, topic
from segflow.streams.journal.entry import Entry

DOCUMENT = (Path(__file__).parents[3] / "docs" / "state.md").read_text(encoding="utf-8")
CHAPTERS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
SHARD = Keys("segflow", 3)
FIRST = Keys("segflow", 0)


def table(section: str, heading: str) -> list[list[str]]:
    """Cells of the table of a section whose header begins with `heading`."""
    (body,) = re.findall(rf"^\| {re.escape(heading)} \|.*?\n\|[-|]+\|\n((?:\|.*\n)+)", CHAPTERS[section], re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in body.splitlines()]


def code(cell: str) -> list[str]:
    """What stands in backquotes in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def written(kind: np.dtype[np.void]) -> str:
    """A column's type as the document writes it."""
    base, shape = kind.subdtype if kind.subdtype is not None else (kind, ())
    return base.str[1:] + "".join(f"[{count}]" for count in shape)


def test_the_record_table_is_the_layout() -> None:
    """Each field with its offset and type, in order; then the ids."""
    rows = [
        (code(name) or [name], int(offset) if offset.isdigit() else offset, (code(kind) or [kind])[0])
        for name, offset, kind, _ in table("The customer record", "field")
    ]
    assert RECORD.fields is not None
    expected = [
        ([name], offset, written(kind))
        for name, (kind, offset) in ((each[0], each[1][:2]) for each in RECORD.fields.items())
    ]
    assert rows == [*expected, (["sections"], FIXED_BYTES, "below"), (["ids"], "behind", f"u{ID_BYTES}")]


def test_the_table_of_sections_is_the_layout() -> None:
    """Each section with its bit, its bytes and its fields, in order; all but one begin with the same two."""
    common = ("label", "since_us")
    rows = [
        (code(name), int(bit), int(size), list(zip(code(fields)[::2], code(fields)[1::2], strict=True)))
        for name, bit, size, fields in table("The customer record", "section")
    ]
    assert rows == [
        ([name], bit, kind.itemsize, [(each, written(kind[each])) for each in kind.names or () if each not in common])
        for bit, (name, kind) in enumerate(SECTIONS.items())
    ]


def test_the_table_of_entries_is_that_of_the_code() -> None:
    """Each tail with its section, its bound, its bytes and its fields, in order."""
    rows = [
        (code(name), code(section), int(most), int(size), list(zip(code(fields)[::2], code(fields)[1::2], strict=True)))
        for name, section, most, size, fields in table("The customer record", "entries")
    ]
    fields = {
        name: [(each, written(tail.entry[each])) for each in tail.entry.names or ()] for name, tail in TAILS.items()
    }
    assert rows == [
        ([name], [tail.section], tail.most, tail.entry.itemsize, fields[name]) for name, tail in TAILS.items()
    ]


def test_the_numbers_about_records_are_those_of_the_code() -> None:
    """Layout, sizes, how many ids, how many customers a page."""
    first, second = REMEMBERED
    assert f"Layout {LAYOUT}: little-endian, packed, {FIXED_BYTES} bytes" in CHAPTERS["The customer record"]
    assert f"at most {first} and {second}" in CHAPTERS["The customer record"]
    most = FIXED_BYTES + ID_BYTES * sum(REMEMBERED)
    every = most + sum(kind.itemsize for kind in SECTIONS.values())
    owing = every + sum(tail.most * tail.entry.itemsize for tail in TAILS.values())
    told = f"{FIXED_BYTES} to {most} bytes, with all sections {every}, with as many entries as there may be {owing}"
    assert told in CHAPTERS["Redis keys"]
    assert f"the ids of {PAGE_CUSTOMERS} customers" in CHAPTERS["Redis keys"]


def test_every_redis_key_has_a_row() -> None:
    """The key names are those that state/keys.py makes."""
    rows = [code(row[0])[0] for row in table("Redis keys", "key")]
    made = [
        keys.installation("segflow"),
        SHARD.head,
        SHARD.record("<customer_id>"),
        SHARD.timers,
        SHARD.page(7).removesuffix("7") + "<page>",
        SHARD.parked,
        SHARD.erased,
        SHARD.erased_at,
        SHARD.counts,
        FIRST.merged_into,
        FIRST.merged_from("<customer_id>"),
    ]
    assert rows == [key.replace("{3}", "{p}") for key in made]


def test_every_field_of_the_head_is_explained() -> None:
    """Those of its parts, too; and the example is one."""
    rows = {row[0]: row[1] for row in table("The head", "field")}
    assert [name for cell in rows for name in code(cell)] == list(Head.__struct_encode_fields__)
    assert set(Position.__struct_fields__) <= set(code(rows["`purchases`, `interactions`, `handover`"]))
    assert code(rows["`adopting`"]) == list(Adopting.__struct_fields__)
    assert code(rows["`erasures`"]) == list(Erasures.__struct_fields__)
    parts = [name for row in table("The head", "field of `in_topic`") for name in code(row[0])]
    assert parts == list(InTopic.__struct_fields__)
    (wrapped,) = re.findall(r"```json\n(.*?)\n```", CHAPTERS["The head"], re.DOTALL)
    example = wrapped.replace("\n", "")
    assert head.encode(head.decode(example.encode())).decode() == example


def test_every_field_of_the_journal_is_explained() -> None:
    """Of an entry and of its plan, in their order but for neighbours that share a row."""
    for heading, record in (("field", Entry), ("field of `plan`", Plan)):
        names = [name for row in table("The journal", heading) for name in code(row[0])]
        assert sorted(names) == sorted(record.__struct_fields__)


def test_every_kind_of_control_record_has_a_row() -> None:
    """The kinds that a worker takes note of, and `cuts-kept` and `histogram` as it writes them."""
    known = set(re.findall(r'content\["kind"\] == "([\w-]+)"', Path(str(topic.__file__)).read_text(encoding="utf-8")))
    assert {code(row[0])[0] for row in table("The control topic", "`kind`")} == known
    four = (1, 2, 3, 4)
    cuts = Cuts(version=0, recency_us=four, frequency=four, monetary_minor=four, value_minor=(1, 2))
    messages = [control_messages.cuts_message(cuts, 0, 0, moved=moved) for moved in (False, True)]
    messages.append(scans.message(PopulationHistograms(), 0, 0))
    messages.append(control_messages.parameters_message(CDNOW, 0, 0))
    messages.append(reshards.message(reshards.Reshard(before=1, partitions=2, at_us=0, begins={})))
    assert {json.loads(message.value)["kind"] for message in messages} == known - {"definition", "secret"}
