"""A client of Kafka that is kept for a question asked again and again."""

from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from kafka import KafkaConsumer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

ClientT = TypeVar("ClientT", KafkaAdminClient, KafkaConsumer)
AnswerT = TypeVar("AnswerT")


class KeptClient(Generic[ClientT]):
    """Makes a client for the first question, and another one after an error. Not for two threads at once."""

    def __init__(self, make: Callable[[], ClientT]) -> None:
        self._make = make
        self._client: ClientT | None = None

    def ask(self, question: Callable[[ClientT], AnswerT]) -> AnswerT:
        """The answer to `question`; raises what making the client and asking raise."""
        try:
            if self._client is None:
                self._client = self._make()
            return question(self._client)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError):
                client.close()
