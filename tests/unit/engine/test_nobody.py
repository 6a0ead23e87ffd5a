"""Ids that are nobody's are never a customer, never merged; repeats under two ids and lost attributes are counted."""

import json
from typing import Any

import msgspec
import pytest

from segflow.engine.columns.events import none
from segflow.engine.commit.execute import CommitResult
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.file_run import FileRun, MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.rules import from_settings
from tests.support.events import alias, event
from tests.support.placement import SHARDS, name_in


def run(log: list[dict[str, Any]], settings: Settings | None = None, shards: int = 1) -> list[CommitResult]:
    """The results of a file of these events."""
    whole = FileRun(settings or Settings(), shards=shards)
    return list(whole.feed([json.dumps(each).encode() for each in log], 0))


def letters(results: list[CommitResult]) -> list[tuple[str, str]]:
    """Kind and reason of each dead letter."""
    found = [json.loads(each.value) for result in results for each in result.dead]
    return [(each["kind"], each["reason"]) for each in found]


def customers(results: list[CommitResult]) -> set[str]:
    """Everybody of whom something is held."""
    return {name for result in results for name in result.write.born}


def test_strangers_under_a_shared_id_do_not_become_one_customer() -> None:
    """A trial's file: three visitors under "anonymous", whom two aliases give to whoever logs in."""
    results = run(
        [
            event(1, 0, customer="anonymous"),
            alias(2, 1, "c1", "anonymous"),
            event(3, 2, customer="Anonymous"),
            alias(4, 3, "c2", "ANONYMOUS"),
            event(5, 4, customer="c3"),
        ]
    )
    assert customers(results) == {"c3"}
    assert [kind for kind, _ in letters(results)] == ["nobody"] * 4
    assert "previous_id 'anonymous' is nobody's (setting nobody)" in letters(results)[1][1]
    assert sum(result.merged for result in results) == 0


@pytest.mark.parametrize(("listed", "held"), [(["shop-terminal"], {"guest"}), ([], {"guest", "shop-terminal"})])
def test_the_list_is_a_setting(listed: list[str], held: set[str]) -> None:
    """Of one's own, or empty."""
    settings = Settings.model_validate({"nobody": listed})
    assert customers(run([event(1, 0, customer="guest"), event(2, 0, customer="shop-terminal")], settings)) == held


def test_an_erase_of_such_an_id_is_taken() -> None:
    """So what was gathered under it before it was listed can be forgotten."""
    before, after = Settings(nobody=()), Settings()
    shard = MemoryShard(before, RuleVersions(from_settings(before)))
    fed = Decoder(before, None).decode([json.dumps(event(1, 0, customer="guest")).encode()], None, [0])
    assert shard.feed(fed, 2**52).write.born == ["guest"]
    erase = Decoder(after, None).decode([json.dumps(event(2, 1, "erase", "guest")).encode()], None, [1])
    plan = plan_for(after, shard.head, purchases_to=2, interactions_to=0, wall_us=2**52, rules=0)
    result = shard.executor.execute(plan, erase, none(), shard.head, shard.store)
    assert (result.erased, result.dead) == (1, [])


def test_commits_from_before_did_not_look() -> None:
    """Replayed from the journal they give what they gave: the list is in the plan."""
    shard = MemoryShard(Settings(), RuleVersions(from_settings(Settings())))
    chunk = Decoder(Settings(), None).decode([json.dumps(event(1, 0, customer="guest")).encode()], None, [0])
    plan = plan_for(Settings(), shard.head, purchases_to=1, interactions_to=0, wall_us=2**52, rules=0)
    kept: dict[str, Any] = json.loads(msgspec.json.encode(plan))
    assert "guest" in kept.pop("nobody")
    old = msgspec.convert(kept, type(plan))
    assert shard.executor.execute(old, chunk, none(), shard.head, shard.store).dead == []


@pytest.mark.parametrize("shards", [1, SHARDS])
def test_an_event_under_both_ids_of_a_merge_is_counted_as_repeated(shards: int) -> None:
    """It counts twice, as both had added it up; wherever the two live."""
    guest, known = name_in(1, "g"), name_in(2)
    log = [event(1, 0, customer=guest), event(2, 0, customer=guest), event(1, 0, customer=known)]
    results = run([*log, alias(3, 1, known, guest)], shards=shards)
    assert sum(result.merged for result in results) == 1
    assert sum(result.merged_repeats for result in results) == 1


def test_attributes_that_cannot_be_kept_are_counted() -> None:
    """A list and a text too long of one profile; a profile that is refused counts for nothing."""
    bad = {"tags": ["a"], "note": "x" * 2000, "country": "DE"}
    results = run(
        [
            event(1, 0, "profile", attributes=bad),
            event(2, 0, "profile", attributes={"country": "DE"}),
            event(3, 0, "profile", attributes=bad, customer="guest"),
        ]
    )
    assert sum(result.left_out for result in results) == 2
