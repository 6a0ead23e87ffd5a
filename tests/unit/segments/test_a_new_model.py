"""A new model is one new file and its line in the settings: nothing else is edited, and it works from end to end."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[3]
FILE: Final = '''
"""Strollers: who bought on a Sunday lately."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from segflow.schemas.section import Section, Wait
from segflow.segments.declaration import Declaration
from segflow.segments.explain import span
from segflow.segments.facts import Fact
from segflow.segments.instant import DAY_US, NEVER, UNKNOWN, after, duration_us
from segflow.segments.record_section import RecordSection

LABELS: Final = ("busy", "stroller")
SUNDAYS: Final = Fact("sundays", np.uint32)
LATEST_US: Final = Fact("latest_sunday_us", np.int64, UNKNOWN)


class Stroller(Section):
    """The stroller dimension."""

    lasts: Wait = timedelta(days=3)


@dataclass(frozen=True)
class StrollerModel:
    lasts_us: int
    name: str = "stroller"
    labels: tuple[str, ...] = LABELS
    start: int = 0

    def classify(self, facts, at_us, cuts, labels):
        known = facts[LATEST_US] != UNKNOWN
        return (known & (at_us < after(facts[LATEST_US], self.lasts_us))).astype(np.uint8)

    def deadline(self, facts, at_us, cuts, labels):
        return np.where(labels[self.name] == 1, after(facts[LATEST_US], self.lasts_us), NEVER)

    def explain(self, case):
        return [f"Bought on {case.own(SUNDAYS)} Sundays, of which one lasts {span(self.lasts_us)}: {case.label}."]


def apply(kept, happened, slot_us):
    bought = happened.purchases
    sunday = (bought.occurred_us // DAY_US + 4) % 7 == 0
    rows, sundays, latest_us = bought.rows[sunday], kept[SUNDAYS], kept[LATEST_US]
    sundays[rows] += 1
    latest_us[rows] = np.maximum(latest_us[rows], bought.occurred_us[sunday])


def merge(kept, rows, other):
    sundays, latest_us = kept[SUNDAYS], kept[LATEST_US]
    sundays[rows] += other[SUNDAYS]
    latest_us[rows] = np.maximum(latest_us[rows], other[LATEST_US])


STROLLER: Final = Declaration(
    name="stroller", settings=Stroller, labels=LABELS[::-1],
    build=lambda own, common: StrollerModel(duration_us(own.lasts)),
    section=RecordSection(bit=12, facts=(SUNDAYS, LATEST_US), apply=apply, merge=merge),
)
'''
AFTER: Final = "    payment: Annotated[Payment, PAYMENT] = Payment()\n"
LINE: Final = "    stroller: Annotated[Stroller, STROLLER] = Stroller()\n"
IMPORT: Final = "from segflow.segments.models.stroller import STROLLER, Stroller\n"
SHOWN: Final = """
import json, sys
import numpy as np
from segflow.engine.advance.erasures import start_labels
from segflow.engine.file_run import FileRun
from segflow.operations.explanation import explanations
from segflow.schemas import settings_file
from segflow.schemas.settings import Facts
from segflow.state import record
from segflow.streams.control.definitions import definition_of, fact_differences, settings_of
from pathlib import Path

settings = settings_file.load(Path("segflow.yaml"), environment={})
run = FileRun(settings)
log = Path("log.jsonl").read_bytes().splitlines()
list(run.feed(log, 0))
rules = run.rule_versions.first
stored = run.memory_shards[0].store.load(["c"])
customers = record.decode(["c"], stored, start_labels(rules), 0, rules.kept)
(found,) = [each for each in explanations(customers, rules, "EUR", 0) if each.dimension == "stroller"]
definition = definition_of(settings)
listed = Facts(models="listed")
alone = settings.model_copy(update={"facts": listed})
plain = definition_of(alone.model_copy(update={"dimensions": ("lifecycle",)}))
print(json.dumps({
    "label": found.label, "because": found.because, "next": found.next_at,
    "again": record.encode(customers) == stored,
    "definition": definition["stroller"], "same": definition_of(settings_of(definition, settings)) == definition,
    "facts": [each.path for each in fact_differences([plain], definition_of(alone))],
}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the new file, the line and its import."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "segflow", folder / "segflow", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "segflow/segments/models/stroller.py").write_text(FILE.lstrip(), encoding="utf-8")
    settings = folder / "segflow/schemas/settings.py"
    text = settings.read_text(encoding="utf-8")
    place = "from segflow.segments.models.value import"
    assert (text.count(AFTER), text.count(place)) == (1, 1)
    settings.write_text(text.replace(AFTER, AFTER + LINE).replace(place, IMPORT + place), encoding="utf-8")
    return folder


def run(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python in the copy."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEGFLOW_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=environment | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def purchase(number: int, day: int, hour: int = 0) -> dict[str, Any]:
    """A purchase of customer c in March 2024."""
    time = f"2024-03-{day:02}T{hour:02}:00:00Z"
    return {"type": "purchase", "event_id": f"p{number}", "customer_id": "c", "order_id": "o", "amount": 5} | {
        "occurred_at": time
    }


@pytest.mark.slow
def test_a_new_file_and_its_line_in_the_settings_are_all_that_a_model_takes(copy: Path) -> None:
    """Settings, events, silence, the record, the definition and the words know it."""
    log = [purchase(1, 1), purchase(2, 2, 12), purchase(3, 3), purchase(4, 20)]
    (copy / "log.jsonl").write_text("".join(json.dumps(each) + "\n" for each in log[:3]), encoding="utf-8")
    (copy / "segflow.yaml").write_text(
        "clock: event\ndimensions: [lifecycle, stroller]\nstroller: {lasts: 2d}\n", encoding="utf-8"
    )
    done = run(copy, "-m", "segflow", "run", "log.jsonl", "--until", "2024-04-01T00:00:00Z", "--output", "out.jsonl")
    assert done.returncode == 0, done.stderr
    changes = [json.loads(line) for line in (copy / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    mine = [(each["current"], each["effective_at"], each["cause"]["kind"]) for each in changes]
    assert [each for each in mine if each[0] in ("stroller", "busy")] == [
        ("stroller", "2024-03-03T00:00:00Z", "event"),
        ("busy", "2024-03-05T00:00:00Z", "time"),
    ]
    shown = run(copy, "-c", SHOWN)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout) == {
        "label": "stroller",
        "because": ["Bought on 1 Sundays, of which one lasts 2 d: stroller."],
        "next": "2024-03-05T00:00:00Z",
        "again": True,
        "definition": {"lasts": "2d"},
        "same": True,
        "facts": ["dimensions.stroller"],
    }


@pytest.mark.slow  # a process each
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bit=12", "bit=3", "the bits of the record's sections must be 0, 1, 2 and so on"),
        ('"sundays"', '"discounted"', "two models have a fact of one name: discounted"),
        ("np.uint32)", "np.float32)", "the model stroller: the fact sundays must be one of uint8"),
        (
            "facts=(SUNDAYS, LATEST_US)",
            "facts=(LATEST_US, *(Fact(f'f{k}', np.int64) for k in range(8)))",
            "the model stroller: its facts take 72 bytes, at most 64 are possible",
        ),
        ("apply=apply, merge=merge", "apply=apply", "it keeps facts, so it needs `apply` and `merge`"),
        ("labels=LABELS[::-1]", "labels=('a',) * 2", "the model stroller: it must have 1 to 254 different labels"),
        ('name="stroller", settings', 'name="hurry", settings', "the model hurry: its section of the settings"),
    ],
)
def test_what_a_model_states_of_the_record_is_checked_when_it_is_read(
    copy: Path, old: str, new: str, message: str
) -> None:
    """An error that names the model, before anything is read or written."""
    file = copy / "segflow/segments/models/stroller.py"
    assert old in FILE
    file.write_text(FILE.lstrip().replace(old, new), encoding="utf-8")
    try:
        done = run(copy, "-c", "import segflow.state.layout")
    finally:
        file.write_text(FILE.lstrip(), encoding="utf-8")
    assert done.returncode == 1
    assert "ModelError: " in done.stderr
    assert message in done.stderr
