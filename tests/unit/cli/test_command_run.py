"""segflow run: files in, changes out."""

import gzip
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.agreement import by_customer
from tests.support.command import PROGRAM, segflow, segflow_process, settings_file
from tests.support.events import alias, event
from tests.support.until import until


def purchase(number: int, customer: str, day: str, **fields: Any) -> str:
    """One purchase as a line."""
    event = {"event_id": f"e{number}", "type": "purchase", "customer_id": customer, "occurred_at": f"{day}T00:00:00Z"}
    return json.dumps(event | {"order_id": f"o{number}", "amount": "20"} | fields) + "\n"


LINES = [
    purchase(1, "c1", "2026-01-01"),
    purchase(2, "c2", "2026-01-02"),
    purchase(3, "c1", "2026-01-20"),
    purchase(4, "c3", "2026-03-30"),
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file of four purchases."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(LINES), encoding="utf-8")
    return path


def changes(text: str) -> dict[str, list[dict[str, Any]]]:
    """Each customer's changes."""
    return by_customer(json.loads(line) for line in text.splitlines())


def test_the_changes_of_a_file_go_to_standard_output(log: Path) -> None:
    """Events and the silence between them become changes, one a line, and a summary goes to standard error."""
    result = segflow("run", log)
    assert result.code == 0
    labels = [change["current"] for change in changes(result.out)["c1"] if change["dimension"] == "lifecycle"]
    assert labels == ["new", "active", "at_risk"]
    assert "4 events (0 duplicates, 0 late), 3 customers" in result.err
    assert "lifecycle: " in result.err


def test_until_sweeps_deadlines_beyond_the_last_event(log: Path) -> None:
    """With --until every customer is looked at up to that time, and no further."""
    result = segflow("run", log, "--until", "2026-07-19T02:00:00+02:00")
    lifecycle = [change for change in changes(result.out)["c1"] if change["dimension"] == "lifecycle"]
    assert [change["current"] for change in lifecycle] == ["new", "active", "at_risk", "churned"]
    assert lifecycle[-1]["effective_at"] == "2026-07-19T00:00:00Z"
    earlier = segflow("run", log, "--until", "2026-07-19T01:59:59+02:00")
    assert len(changes(earlier.out)["c1"]) == len(changes(result.out)["c1"]) - 1


@pytest.mark.parametrize("time", ["2026-07-19T00:00:00", "2026-07-19", "tomorrow"])
def test_until_must_be_a_time_with_an_offset(log: Path, time: str) -> None:
    """A naive time could mean any of 38 hours, so it is refused."""
    result = segflow("run", log, "--until", time)
    assert result.code == 2
    assert f"--until {time}" in result.err


def test_gzip_and_standard_input_and_several_files_are_the_same_log(log: Path, tmp_path: Path) -> None:
    """A gzip file (whatever its name), a pipe, and a log cut in two files give the same changes."""
    expected = changes(segflow("run", log).out)
    zipped = tmp_path / "log"
    zipped.write_bytes(gzip.compress(log.read_bytes()))
    assert changes(segflow("run", zipped).out) == expected
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"
    first.write_text("".join(LINES[:2]), encoding="utf-8")
    second.write_bytes(gzip.compress("".join(LINES[2:]).encode()))
    assert changes(segflow("run", first, second).out) == expected
    assert changes(segflow_process("run", "-", stdin=zipped.read_bytes()).out) == expected


def test_shards_change_nothing_for_a_sorted_log(log: Path) -> None:
    """Where the log is in time order and swept to one time, the number of shards does not matter."""
    until = ("--until", "2027-01-01T00:00:00Z")
    assert changes(segflow("run", log, *until).out) == changes(segflow("run", log, *until, "--shards", "3").out)


@pytest.mark.parametrize("shards", [1, 3])
def test_dead_letters_name_the_file_and_its_line(tmp_path: Path, shards: int) -> None:
    """Each unusable line gives one dead letter with file, line (blank ones counted) and reason, and stops nothing."""
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    first.write_text(LINES[0] + "\n{bad\n" + LINES[1], encoding="utf-8")
    second.write_text("\n" + purchase(9, "c9", "2026-01-05", amount="-1") + "{worse", encoding="utf-8")
    dead = tmp_path / "dead.jsonl"
    result = segflow("run", first, second, "--dead-letters", dead, "--shards", str(shards))
    assert result.code == 0
    letters = [json.loads(line) for line in dead.read_text(encoding="utf-8").splitlines()]
    assert [(letter["topic"], letter["offset"], letter["kind"]) for letter in letters] == [
        (str(first), 3, "not_json"),
        (str(second), 2, "bad_field"),
        (str(second), 3, "not_json"),
    ]
    assert "2 events" in result.err
    assert f"not_json: 2, the first at {first} line 3: is not JSON" in result.err
    assert set(changes(result.out)) == {"c1", "c2"}


def test_the_summary_can_be_json(log: Path) -> None:
    """--json writes the summary for a program, on standard error; the changes stay on standard output."""
    log.write_text("".join([*LINES, LINES[3], "{\n"]), encoding="utf-8")
    summary = json.loads(segflow("run", log, "--json").err)
    assert summary["records"] == 6
    assert summary["events"] == 5
    assert summary["duplicates"] == 1
    assert summary["customers"] == 3
    assert summary["dead_letters"]["not_json"]["count"] == 1
    assert summary["changes"]["lifecycle"] == {"new": 3, "at_risk": 2, "active": 1}


def test_the_output_file_appears_whole_or_not_at_all(log: Path, tmp_path: Path) -> None:
    """A run that fails leaves what was there before, and no other file; one that ends replaces it."""
    output = tmp_path / "out" / "changes.jsonl"
    output.parent.mkdir()
    output.write_text("before", encoding="utf-8")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(log.read_bytes())[:-20])
    assert segflow("run", cut, "--output", output).code == 2
    assert output.read_text(encoding="utf-8") == "before"
    assert [path.name for path in output.parent.iterdir()] == ["changes.jsonl"]
    assert segflow("run", log, "--output", output).code == 0
    assert changes(output.read_text(encoding="utf-8")) == changes(segflow("run", log).out)
    assert [path.name for path in output.parent.iterdir()] == ["changes.jsonl"]


def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path: Path, log: Path) -> None:
    """A missing file, a folder, a truncated and a damaged gzip file each have their message and exit code 2."""
    whole = gzip.compress(log.read_bytes())
    (tmp_path / "cut.gz").write_bytes(whole[:-20])
    (tmp_path / "damaged.gz").write_bytes(whole[:30] + b"\xff" * 20 + whole[50:])
    for name, reason in {
        "absent": "there is no such file",
        ".": "is a directory",
        "cut.gz": "ends in the middle",
        "damaged.gz": "is a damaged gzip file",
    }.items():
        result = segflow("run", tmp_path / name)
        assert (result.code, "Traceback" in result.err) == (2, False)
        assert reason in result.err


def test_an_output_that_cannot_be_written_is_named(log: Path, tmp_path: Path) -> None:
    """A folder that does not exist, and a full device, end with exit code 2 and the reason."""
    result = segflow("run", log, "--output", tmp_path / "absent" / "changes.jsonl")
    assert (result.code, "cannot be written: No such file" in result.err) == (2, True)
    result = segflow("run", log, "--output", "/dev/full")
    assert (result.code, "cannot be written: No space left" in result.err) == (2, True)


def test_money_beyond_64_bits_stops_loudly(tmp_path: Path) -> None:
    """A customer whose money would wrap around ends the run with a message, not with wrong segments."""
    log = tmp_path / "log.jsonl"
    lines = [purchase(number, "c1", "2026-01-01", amount="999999999999") for number in range(1000)]
    log.write_text("".join(lines), encoding="utf-8")
    result = segflow("run", log, "--settings", settings_file(tmp_path, currency="CLF"))  # it has four decimals
    assert result.code == 2
    assert "no longer fits 64 bits" in result.err


def test_a_line_without_end_stops_with_a_message(tmp_path: Path, settings: Path) -> None:
    """What is no JSON Lines at all is refused before it fills the memory."""
    log = tmp_path / "log.jsonl"
    log.write_bytes(b"x" * (17 << 20))
    result = segflow("run", log, "--settings", settings)
    assert result.code == 2
    assert "line 1 is longer than 16 MiB" in result.err


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """Empty settings."""
    return settings_file(tmp_path)


def test_an_event_of_the_future_is_a_dead_letter_unless_told_otherwise(tmp_path: Path) -> None:
    """As in the worker: one clock of 2085 must not age everybody."""
    log = tmp_path / "log.jsonl"
    log.write_text(LINES[0] + purchase(9, "c9", "2085-01-01"), encoding="utf-8")
    result = segflow("run", log, "--json")
    assert json.loads(result.err)["dead_letters"]["future"]["count"] == 1
    assert [change["current"] for change in changes(result.out)["c1"]] == ["new", "new"]
    taken = segflow("run", log, "--json", "--allow-future")
    assert json.loads(taken.err)["dead_letters"] == {}
    assert [change["current"] for change in changes(taken.out)["c1"] if change["dimension"] == "lifecycle"] == [
        "new",
        "at_risk",
        "churned",
    ]


@pytest.mark.parametrize(
    ("text", "seems"),
    [
        ("id,customer,total\n1,c1,20\n", "CSV (columns id, customer, total)"),
        ("id;customer;total\n1;c1;20\n", "CSV with semicolons"),
        ('{"before":null,"after":{"id":1},"op":"c","ts_ms":1}\n', "Debezium's envelope"),
        ('{"schema":{},"payload":{"before":null,"after":{"id":1},"op":"c"}}\n', "Debezium's envelope"),
        ('{"type":"track","event":"Order Completed","userId":"u"}\n', "events of Segment"),
        ('{"specversion":"1.0","type":"order","id":"1","source":"/"}\n', "CloudEvents"),
        ('[{"id":1}]\n', "a JSON array of objects"),
        ('{\n  "type": "purchase"\n}\n', "JSON over several lines"),
        ('{"order":1,"total":2}\n', "JSON of another kind (fields order, total)"),
        ("<a/>\n", "XML"),
    ],
)
def test_a_file_of_something_else_is_told_for_what_it_looks_like(tmp_path: Path, text: str, seems: str) -> None:
    """Where no record could be used the exit code is 3, so that a script notices."""
    log = tmp_path / "log.jsonl"
    log.write_text(text, encoding="utf-8")
    result = segflow("run", log)
    assert result.code == 3
    assert f"records could be used; this looks like {seems}" in result.err


def test_an_empty_file_and_one_good_line_are_no_failure(tmp_path: Path) -> None:
    """Only where there were records and none was one is it the wrong file."""
    log = tmp_path / "log.jsonl"
    for text in ("", "id,customer,total\n" * 9 + LINES[0]):
        log.write_text(text, encoding="utf-8")
        assert segflow("run", log).code == 0


def test_two_outputs_in_one_file_are_refused(log: Path, tmp_path: Path) -> None:
    """Also by another name; a device may be named twice."""
    output = tmp_path / "x.jsonl"
    other = tmp_path / "sub" / ".." / "x.jsonl"
    (tmp_path / "sub").mkdir()
    result = segflow("run", log, "--output", output, "--dead-letters", other)
    assert result.code == 2
    assert "--output and --dead-letters name the same file" in result.err
    assert not output.exists()
    assert segflow("run", log, "--output", "/dev/null", "--dead-letters", "/dev/null").code == 0


@pytest.mark.parametrize("option", ["--output", "--dead-letters", "--alerts"])
def test_an_output_over_the_events_it_comes_from_is_refused(log: Path, option: str) -> None:
    """The events would be gone, and be nowhere else."""
    before = log.read_bytes()
    result = segflow("run", log, option, log.parent / "." / log.name)
    assert result.code == 2
    assert f"FILES and {option} name the same file" in result.err
    assert log.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("command", [["run", "{log}"], ["run", "--help"], ["schemas", "--help"]])
def test_a_full_disk_behind_standard_output_is_a_message(log: Path, command: list[str]) -> None:
    """No traceback, and none from Python's own end either."""
    arguments = [each.format(log=log) for each in command]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1] == (
        "segflow: standard output cannot be written: No space left on device"
    )
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_leaves_no_partial_file(tmp_path: Path, number: signal.Signals) -> None:
    """The output stays as it was before."""
    output = tmp_path / "changes.jsonl"
    output.write_text("before", encoding="utf-8")
    with subprocess.Popen([*PROGRAM, "run", "-", "--output", str(output)], stdin=subprocess.PIPE) as process:
        until(lambda: len(list(tmp_path.iterdir())) == 2, "no partial file appeared")
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["changes.jsonl"]
    assert output.read_text(encoding="utf-8") == "before"


def test_repeats_under_both_ids_of_a_merge_are_in_the_summary(tmp_path: Path) -> None:
    """A guest's purchase, told again under the customer's own id before the alias, counts twice, and it is said."""
    log = tmp_path / "both.jsonl"
    events = [event(1, 0, customer="guest-7"), event(1, 0, customer="c1"), alias(2, 1, "c1", "guest-7")]
    profile = event(3, 2, "profile", attributes={"tags": ["a"]})
    log.write_text("".join(json.dumps(each) + "\n" for each in [*events, profile]), encoding="utf-8")
    said = segflow("run", log, "--output", tmp_path / "changes.jsonl")
    assert "events under both ids of merged customers, which count twice: 1\n" in said.err
    assert "attributes that cannot be kept: 1\n" in said.err
    summary = json.loads(segflow("run", log, "--output", tmp_path / "changes.jsonl", "--json").err)
    assert (summary["merged_repeats"], summary["attributes_left_out"]) == (1, 1)
