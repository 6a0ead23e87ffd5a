"""What a new topic is made with."""

import pytest

from segflow.streams.kafka.topic_kinds import KINDS, configuration


@pytest.mark.parametrize("role", KINDS)
def test_a_record_of_a_replicated_topic_is_on_all_copies_but_one(role: str) -> None:
    """From three copies on: a broker may be lost, and nothing with it."""
    assert configuration(role, 3) == KINDS[role].made_with | {"min.insync.replicas": "2"}
    assert configuration(role, 1) == configuration(role, 2) == KINDS[role].made_with
