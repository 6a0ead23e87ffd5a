"""The client kept for a question asked again and again."""

from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from segflow.streams.kafka.kept_client import KeptClient


class Client:
    """Knows whether it was closed."""

    closed = False

    def close(self) -> None:
        """Be closed, as a client whose broker is gone is."""
        self.closed = True
        raise KafkaConnectionError


def refuse(_: Any) -> int:
    """A question that meets an error."""
    raise OSError("the connection was reset")


def test_one_client_is_used_until_an_error_which_closes_it_and_has_another_one_made() -> None:
    """No client is made before the first question, and none stays open."""
    made: list[Any] = []

    def make() -> Any:
        made.append(Client())
        return made[-1]

    kept: KeptClient[Any] = KeptClient(make)
    assert not made
    assert kept.ask(made.index) == kept.ask(made.index) == 0
    with pytest.raises(OSError, match="reset"):
        kept.ask(refuse)
    assert [each.closed for each in made] == [True]
    assert kept.ask(made.index) == 1
    kept.close()
    assert [each.closed for each in made] == [True, True]
