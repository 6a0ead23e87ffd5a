"""What a commit loads: the same, whether the store was asked before for whose timers are due, or is asked then."""

import json

import msgspec

from segflow.engine.columns.events import none
from segflow.engine.commit.execute import execute_single
from segflow.engine.commit.load import Loader
from segflow.engine.commit.plan import plan_for
from segflow.engine.commit.rule_versions import RuleVersions
from segflow.engine.decode.records import Decoder
from segflow.engine.encode.change_json import Encoder
from segflow.engine.file_run import MemoryShard
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_us
from segflow.segments.rules import from_settings
from segflow.state.memory import MemoryStore
from tests.support.events import event
from tests.support.histories import START

SETTINGS = Settings()
CUSTOMERS = 5
DAY_US = 86_400_000_000


class _Counting(MemoryStore):
    """Counts how often it is asked for due timers that there may be."""

    asked = 0

    def due(self, until_us: int, limit: int) -> list[str]:
        """See Store."""
        self.asked += limit > 0
        return super().due(until_us, limit)


def test_customers_known_to_be_due_are_not_asked_for_again() -> None:
    """The commit of a sweep is the same, byte for byte."""
    rule_versions = RuleVersions(from_settings(SETTINGS))
    store = _Counting()
    shard = MemoryShard(SETTINGS, rule_versions, store=store)
    log = [json.dumps(event(number, 0, customer=f"c{number}")).encode() for number in range(CUSTOMERS)]
    shard.feed(Decoder(SETTINGS, None).decode(log, None, range(CUSTOMERS)), 0)
    head = shard.head
    until_us = to_us(START) + 61 * DAY_US
    plan = plan_for(SETTINGS, head, purchases_to=CUSTOMERS, interactions_to=0, wall_us=0, rules=head.rules)
    plan = msgspec.structs.replace(plan, sweep_us=until_us, sweep_limit=3)
    loader, encoder = Loader(SETTINGS, rule_versions, 0), Encoder(SETTINGS.currency)
    expected = execute_single(loader.load(plan, none(), none(), head, store), encoder)
    due = store.due(until_us, plan.sweep_limit)
    store.asked = 0
    loaded = loader.load(plan, none(), none(), head, store, due=due)
    assert store.asked == 0
    result = execute_single(loaded, encoder)
    assert result.swept == expected.swept == len(due) == 3
    assert len(result.changes) > 0
    assert (result.digest, result.write) == (expected.digest, expected.write)
