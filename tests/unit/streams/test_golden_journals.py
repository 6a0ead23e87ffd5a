"""Journals of releases, done again: the engine that wrote one gives what it gave, and another one refuses it."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest

from segflow.engine.commit.engine_version import ENGINE
from segflow.schemas.worker_settings import Worker
from segflow.streams.journal.entry import Entry
from segflow.streams.journal.replay import OtherVersionError, ReplayedCommit
from tests.support.golden_journal import FOLDER, GoldenJournal

LATEST: Final = f"engine-{ENGINE}"
SHARDS: Final = (0, 1)


def another(name: str) -> Any:
    """A value that a setting of the worker may have, and neither its default nor the golden journal's is."""
    field = Worker.model_fields[name]
    default = field.default
    if isinstance(default, timedelta):
        return default * 2 or timedelta(days=1)
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return max(300, default // 3)
    return next((each for each in get_args(field.annotation) if each != default), "localhost")


@pytest.fixture(scope="module")
def replayed() -> list[ReplayedCommit]:
    """Every commit of the journal that ENGINE names, of all shards.

    Where this fails, what commits give has changed: raise ENGINE, and record a journal with `python -m tests.golden`.
    """
    golden = GoldenJournal.read(LATEST)
    return [each for shard in SHARDS for each in golden.replayed(shard)]


def test_this_engine_gives_what_it_gave(replayed: list[ReplayedCommit]) -> None:
    """The same changes and dead letters, commit by commit."""
    golden = GoldenJournal.read(LATEST)
    assert len(replayed) == sum(len(golden.entries(shard)) for shard in SHARDS) > 10
    assert {each.entry.engine for each in replayed} == {ENGINE}


def test_the_golden_journal_has_every_kind_of_step(replayed: list[ReplayedCommit]) -> None:
    """Changes, dead letters, silence, merges, erases, re-cuts and a new definition: none is there in vain."""
    results = [each.result for each in replayed]
    for count in ("events", "duplicates", "late", "erased", "merged", "swept"):
        assert sum(getattr(each, count) for each in results) > 0, count
    assert {kind for each in results for kind in each.dead_kinds} >= {"oversized", "not_json"}
    assert any(each.handover for each in results)
    assert len({each.entry.plan.rules for each in replayed}) > 2


@pytest.mark.slow
def test_no_setting_of_the_worker_changes_what_a_commit_gave() -> None:
    """All that a commit depends on is in its plan: whatever is set now, it is replayed to the same."""
    golden = GoldenJournal.read(LATEST)
    others = {name: another(name) for name in Worker.model_fields}
    changed = Worker.model_validate(others)
    for name, value in others.items():
        assert value == getattr(changed, name)
        assert value != golden.settings["worker"].get(name, Worker.model_fields[name].default), name
    for shard in SHARDS:
        assert len(golden.replayed(shard, others)) == len(golden.entries(shard))


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.json")), ids=lambda file: file.stem)
def test_every_journal_there_is_can_be_read(file: Path) -> None:
    """Of whatever release: entries may gain fields, and lose none."""
    golden = GoldenJournal.read(file.stem)
    sequences = [[each.plan.sequence for each in golden.entries(shard)] for shard in SHARDS]
    assert sequences == [list(range(1, len(each) + 1)) for each in sequences]


def of_another(entries: list[Entry], **changed: Any) -> list[Entry]:
    """The entries, the first half of them by another version."""
    half = len(entries) // 2
    return [msgspec.structs.replace(each, **changed) for each in entries[:half]] + entries[half:]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ({"engine": 0, "segflow": ""}, "by a version of segflow that did not say which.*Drain the shard first: start"),
        ({"engine": ENGINE - 1 or -1, "segflow": "0.0.9"}, "Drain the shard first: start segflow 0.0.9"),
        ({"engine": ENGINE + 1, "segflow": "99.0"}, rf"Start segflow 99.0 \(engine {ENGINE + 1}\)"),
    ],
)
def test_a_shard_behind_another_engines_journal_is_refused_with_advice(by: dict[str, Any], words: str) -> None:
    """A commit that Redis lacks is never done again by a version that may make something else of it."""
    golden = GoldenJournal.read(LATEST)
    with pytest.raises(OtherVersionError, match=words):
        golden.replayed(0, entries=of_another(golden.entries(0), **by))


def test_whoever_only_looks_does_another_engines_commits_again_where_they_give_the_same() -> None:
    """So an audit, and a rebuild, go on behind the place where versions meet."""
    golden = GoldenJournal.read(LATEST)
    entries = of_another(golden.entries(0), engine=0, segflow="")
    assert len(golden.replayed(0, entries=entries, tries_other_versions=True)) == len(entries)


def test_a_commit_of_another_engine_that_gives_something_else_is_named_as_one() -> None:
    """Neither the input nor the settings are to blame."""
    golden = GoldenJournal.read(LATEST)
    entries = of_another(golden.entries(0), engine=0, segflow="", digest="0")
    with pytest.raises(OtherVersionError, match="did not say which made commit 1, this is segflow"):
        golden.replayed(0, entries=entries, tries_other_versions=True)
