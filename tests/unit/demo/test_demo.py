"""The demo's picture, summary and comparison, from changes written by hand."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from segflow.demo.change_digest import ChangeDigest
from segflow.demo.dashboard import Dashboard
from segflow.demo.history import read
from segflow.demo.reference import reference
from segflow.demo.render import frame
from segflow.demo.summary import summary
from segflow.demo.view import line, save_picture, view
from segflow.streams.runtime.errors import UsageError
from tests.support.cdnow import EVENTS
from tests.support.until import until

LABELS = {"lifecycle": ("new", "active", "at_risk", "churned"), "rfm": ("new", "hibernating")}


def change(customer_id: str, previous: str | None, current: str, day: str, **fields: Any) -> dict[str, Any]:
    """A change as published, of the lifecycle by silence where `fields` say nothing else."""
    facts = {"last_purchase_at": "1997-01-02T00:00:00Z", "frequency": 2, "monetary": "30.00"} | fields.pop("facts", {})
    return {
        "customer_id": customer_id,
        "dimension": "lifecycle",
        "previous": previous,
        "current": current,
        "effective_at": f"{day}T00:00:00Z",
        "cause": {"kind": "time"},
        "facts": facts,
        "currency": "USD",
        "detected_at": "2026-01-01T00:00:00Z",
    } | fields


CHANGES = [
    change("00001", None, "new", "1997-01-01", cause={"kind": "event", "event_id": "e1"}),
    change("00001", "none", "new", "1997-01-01", dimension="rfm"),
    change("00002", None, "new", "1997-01-02"),
    change("00001", "new", "at_risk", "1997-03-03", facts={"monetary": "99.50"}),
    change("00002", "new", "at_risk", "1997-03-04", facts={"monetary": "120.00", "frequency": 1}),
    change("00003", None, "new", "1997-03-04"),
    change("00003", "new", "at_risk", "1997-05-04"),
    change("00003", "at_risk", "churned", "1997-09-01"),
]


@pytest.fixture
def dashboard() -> Dashboard:
    """A dashboard that has seen CHANGES."""
    made = Dashboard(source="three customers", total=4, labels=LABELS)
    made.sent = 3
    for each in CHANGES:
        made.add(each)
    return made


def drawn(dashboard: Dashboard, width: int = 120, height: int = 36) -> list[str]:
    """The lines of the live view on a terminal of that size."""
    console = Console(width=width, height=height, file=io.StringIO(), record=True, force_terminal=True)
    console.print(frame(dashboard, height))
    return console.export_text().splitlines()


def test_the_view_counts_each_customer_in_the_segment_they_are_in_now(dashboard: Dashboard) -> None:
    """A customer who moves on leaves the count of the segment before."""
    counts = {label: dashboard.population["lifecycle", label] for label in LABELS["lifecycle"]}
    assert counts == {"new": 0, "active": 0, "at_risk": 2, "churned": 1}
    text = "\n".join(drawn(dashboard))
    assert "1997-09-01" in text
    assert "3 events" in text
    assert "3 customers" in text
    assert "8 changes" in text
    assert "00003  new → at_risk  silent since 1997-01-02" in text
    assert "00003  at_risk → churned  silence" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36), (200, 60)])
def test_the_view_fits_the_terminal(dashboard: Dashboard, width: int, height: int) -> None:
    """No line is wider and the frame no higher than the terminal, however much has happened."""
    for number in range(1000):
        dashboard.add(change(f"customer-with-a-long-name-{number}", "new", "at_risk", "1997-10-01"))
    lines = drawn(dashboard, width, height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width


def test_what_a_customer_id_says_to_the_terminal_is_not_obeyed(dashboard: Dashboard) -> None:
    """Control characters and Rich's own markup in an id are shown, not followed."""
    dashboard.add(change("[red]x\x1b[2J", "new", "at_risk", "1997-10-01"))
    shown = "\n".join([*drawn(dashboard), line(dashboard), summary(dashboard)])
    assert "\x1b" not in shown
    assert "[red]x\\x1b[2J" in shown


def test_many_who_go_the_same_way_do_not_hide_the_other_changes(dashboard: Dashboard) -> None:
    """The list of latest changes has the newest of a run of equal moves."""
    for number in range(1000):
        dashboard.add(change(f"c{number}", "new", "active", "1997-10-01"))
    assert [each["customer_id"] for each in dashboard.latest][:3] == ["c999", "00003", "00003"]


def test_a_plain_line_tells_the_time_the_counts_and_who_became_at_risk_last(dashboard: Dashboard) -> None:
    """Where there is no terminal one line says where things are."""
    dashboard.mark(10.0)
    assert line(dashboard) == (
        "1997-09-01  3 of 4 events, 3 customers, 8 changes (0/s); customer 00003 new → at_risk, silent since 1997-01-02"
    )


def test_plain_lines_come_where_there_is_no_terminal_and_no_faster_than_every_two_seconds(dashboard: Dashboard) -> None:
    """Shown at 0, 1, 2 and 3 s a dashboard gives the lines of 0 and 2 s."""
    file = io.StringIO()
    with view(Console(file=file)) as show:
        for now_s in (0.0, 1.0, 2.0, 3.0):
            show(dashboard, now_s)
    assert file.getvalue().splitlines() == [line(dashboard)] * 2


def test_changes_a_second_are_those_of_the_last_two_seconds(dashboard: Dashboard) -> None:
    """What came before counts no more."""
    dashboard.mark(0.0)
    for second in (1.0, 2.0, 3.0):
        for _ in range(10):
            dashboard.add(CHANGES[0])
        dashboard.mark(second)
    dashboard.mark(4.0)
    assert dashboard.per_second == 5.0


def test_the_summary_tells_events_customers_changes_and_who_became_at_risk(dashboard: Dashboard) -> None:
    """Customers at risk at the end are listed, those who have spent most first."""
    assert summary(dashboard).splitlines() == [
        "3 events of 3 customers made 8 changes",
        "  lifecycle: new 3, at_risk 3, churned 1",
        "  rfm: new 1",
        "3 customers became at-risk, 3 times in all; 2 are now, who have spent the most:",
        "  customer 00002: new → at_risk on 1997-03-04, silent since 1997-01-02; 1 order, 120.00 USD",
        "  customer 00001: new → at_risk on 1997-03-03, silent since 1997-01-02; 2 orders, 99.50 USD",
    ]


def test_the_picture_needs_nothing_from_elsewhere(dashboard: Dashboard, tmp_path: Path) -> None:
    """The SVG has its text and loads no font from the web."""
    save_picture(dashboard, tmp_path / "demo.svg")
    picture = (tmp_path / "demo.svg").read_text(encoding="utf-8")
    assert "00003" in picture
    assert "url(http" not in picture
    assert "@font-face" not in picture


def digest(*changes: dict[str, Any]) -> ChangeDigest:
    """What a run said."""
    made = ChangeDigest()
    for each in changes:
        made.add(each)
    return made


def test_accounts_agree_however_customers_are_interleaved_and_whenever_changes_were_found() -> None:
    """Only the order of one customer's changes is promised; detected_at, position and mode may differ."""
    by_customer = sorted(CHANGES, key=lambda each: each["customer_id"])
    later = [
        each | {"detected_at": "2030-01-01T00:00:00Z", "mode": "live", "position": {"t": 9}} for each in by_customer
    ]
    assert digest(*CHANGES).difference(digest(*later)) is None


@pytest.mark.parametrize(
    ("said", "difference"),
    [
        (CHANGES[:-1], "they are right as far as they go, but 8 were expected"),
        ([*CHANGES, CHANGES[0]], "customer 00001: change 4 is another (4 changes, expected 3)"),
        (CHANGES[1:], "customer 00001: change 1 is another (2 changes, expected 3)"),
        (
            [*CHANGES[:4], CHANGES[4] | {"effective_at": "1997-03-05T00:00:00Z"}, *CHANGES[5:]],
            "customer 00002: change 2 is another (2 changes, expected 2)",
        ),
        ([CHANGES[3], *CHANGES[:3], *CHANGES[4:]], "customer 00001: change 1 is another (3 changes, expected 3)"),
    ],
    ids=["missing at the end", "repeated", "lost", "another time", "another order"],
)
def test_the_first_customer_who_differs_is_named(said: list[dict[str, Any]], difference: str) -> None:
    """A lost, repeated, wrong or moved change does not pass."""
    assert digest(*said).difference(digest(*CHANGES)) == difference


def test_the_bundled_history_is_found_and_read_by_month() -> None:
    """CDNOW: 69,659 events in 18 months."""
    history = read(None)
    assert history.events == 69_659
    assert len(history.months) == 18


def test_a_history_too_long_to_watch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the file, the limit and what to use instead."""
    monkeypatch.setattr("segflow.demo.history.EVENTS_MAX", 2)
    file = tmp_path / "long.jsonl"
    file.write_text("{}\n" * 3)
    with pytest.raises(UsageError, match=r"more than 2 events.*segflow run"):
        read(file)


@pytest.mark.slow
def test_a_reference_ended_in_mid_line_ends_without_a_word(tmp_path: Path) -> None:
    """What a killed `segflow run` had begun to say is no change; an exception of the reading thread fails the test."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("clock: event\ncurrency: USD\n", encoding="utf-8")
    with reference(EVENTS, settings, 1) as running:
        until(lambda: running.digest.changes, "`segflow run` says nothing")
