"""The examples: the data is what it says, the settings are the defaults, all of them."""

import gzip
import json
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from segflow.schemas import settings_file
from segflow.schemas.settings import Settings

EXAMPLES = Path(__file__).parents[3] / "examples"
SHIPPED = EXAMPLES / "cdnow.jsonl.gz"
CONVERTER = EXAMPLES / "cdnow_to_events.py"


@pytest.fixture(scope="module")
def shipped() -> list[bytes]:
    """The lines of the shipped file."""
    return gzip.decompress(SHIPPED.read_bytes()).splitlines(keepends=True)


def converted(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Run the converter as a user does."""
    return subprocess.run(
        [sys.executable, CONVERTER, source, target], capture_output=True, text=True, check=False, timeout=60
    )


def master_file(lines: list[bytes]) -> bytes:
    """The published file's form of the events: by line number, which groups them by customer; the CDs are lost."""
    events = sorted((json.loads(line) for line in lines), key=lambda event: int(event["event_id"].split("-")[1]))
    rows = [
        f" {event['customer_id']} {event['occurred_at'][:10].replace('-', '')}  1 {event['amount']:>7}\r\n"
        for event in events
    ]
    return "".join([" customer_id  date number_of_cds  dollar_value\r\n", *rows]).encode()


def test_the_shipped_file_has_all_of_cdnow(shipped: list[bytes]) -> None:
    """69,659 purchases of 23,570 customers over a year and a half, in order, in less than 1 MB."""
    events = [json.loads(line) for line in shipped]
    assert len(events) == 69_659
    assert len({event["customer_id"] for event in events}) == 23_570
    assert {event["event_id"] for event in events} == {f"cdnow-{number}" for number in range(1, 69_660)}
    order = [(event["occurred_at"], int(event["event_id"].split("-")[1])) for event in events]
    assert order == sorted(order)
    assert (order[0][0], order[-1][0]) == ("1997-01-01T00:00:00Z", "1998-06-30T00:00:00Z")
    assert sum(Decimal(event["amount"]) == 0 for event in events) == 80
    assert SHIPPED.stat().st_size < 1_000_000


@pytest.mark.slow
def test_converting_again_gives_the_shipped_file(shipped: list[bytes], tmp_path: Path) -> None:
    """Put back into the published form, the events convert to the same lines; twice, to the same bytes."""
    source = tmp_path / "master.txt"
    source.write_bytes(master_file(shipped))
    done = converted(source, tmp_path / "one.jsonl.gz")
    assert (done.returncode, done.stderr) == (0, "")
    again = tmp_path / "master.txt.gz"
    again.write_bytes(gzip.compress(source.read_bytes(), compresslevel=1))
    assert converted(again, tmp_path / "two.jsonl.gz").returncode == 0
    assert gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes()).splitlines(keepends=True) == shipped
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_the_converter_sorts_by_date_then_line_and_keeps_the_text_of_amounts(tmp_path: Path) -> None:
    """Three lines by hand, header and CRLF as published."""
    source = tmp_path / "master.txt"
    source.write_bytes(
        b" customer_id  date number_of_cds  dollar_value\r\n"
        b" 00001 19970102  1   11.70\r\n 00002 19970101  1    0.00\r\n 00002 19970101  5   77.00\r\n"
    )
    assert converted(source, tmp_path / "out.gz").returncode == 0
    events = [json.loads(line) for line in gzip.decompress((tmp_path / "out.gz").read_bytes()).splitlines()]
    assert [(event["event_id"], event["customer_id"], event["amount"]) for event in events] == [
        ("cdnow-2", "00002", "0.00"),
        ("cdnow-3", "00002", "77.00"),
        ("cdnow-1", "00001", "11.70"),
    ]
    assert events[0] == {
        "type": "purchase",
        "event_id": "cdnow-2",
        "customer_id": "00002",
        "occurred_at": "1997-01-01T00:00:00Z",
        "order_id": "cdnow-2",
        "amount": "0.00",
        "currency": "USD",
    }


@pytest.mark.parametrize("text", ["00001 19971301 1 11.70\n", "00001 19970101 1\n", "00001 19970101 1 x\n"])
def test_the_converter_says_which_line_it_cannot_read(text: str, tmp_path: Path) -> None:
    """One message, exit code 2, nothing written."""
    source = tmp_path / "master.txt"
    source.write_text("00001 19970101 1 11.77\n" + text)
    done = converted(source, tmp_path / "out.gz")
    assert done.returncode == 2
    assert done.stderr.startswith("cdnow_to_events: purchase 2 must be ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.gz").exists()


def test_the_commented_settings_are_the_defaults() -> None:
    """Starting from a copy of the file changes nothing."""
    assert settings_file.load(EXAMPLES / "segflow.yaml", environment={}) == Settings.model_validate({})


def test_the_commented_settings_have_every_field() -> None:
    """No setting is missing from the file, at any depth."""
    content = yaml.safe_load((EXAMPLES / "segflow.yaml").read_text(encoding="utf-8"))
    assert paths_in_file(content) == paths_in_model(Settings)


def test_every_setting_is_explained() -> None:
    """Each line with a value has a comment at its end, or above it."""
    lines = (EXAMPLES / "segflow.yaml").read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        _, colon, value = line.partition(": ")
        if colon and not line.lstrip().startswith("#"):
            assert "#" in value or before.lstrip().startswith("#"), line


def test_the_cdnow_settings_are_dollars_and_event_time() -> None:
    """And the rest as by default."""
    loaded = settings_file.load(EXAMPLES / "cdnow.yaml", environment={})
    assert loaded == Settings.model_validate({"currency": "USD", "clock": "event"})


TABLES = ("rates", "engagement.weights", "rule_dimensions", "strategies", "alerts.into")
"""Settings whose keys are the user's."""


def paths_in_file(content: Any, path: str = "") -> set[str]:
    """The dotted path of every key of the file that is no mapping of the model's own."""
    if not isinstance(content, dict) or path in TABLES:
        return {path}
    return {each for key, value in content.items() for each in paths_in_file(value, f"{path}.{key}".lstrip("."))}


def paths_in_model(model: type[BaseModel], path: str = "") -> set[str]:
    """The dotted path of every field of the model that is no section."""
    paths = set()
    for name, field in model.model_fields.items():
        section: Any = field.annotation
        here = f"{path}.{name}".lstrip(".")
        is_section = isinstance(section, type) and issubclass(section, BaseModel)
        paths |= paths_in_model(section, here) if is_section else {here}
    return paths
