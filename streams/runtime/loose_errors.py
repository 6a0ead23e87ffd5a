"""Errors that nobody awaits: Kafka's clients leave some in tasks that were given up, and they are no news."""

import asyncio
import logging
from typing import Any

from aiokafka.errors import KafkaError

log = logging.getLogger(__name__)


def unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The handler of an event loop's exceptions: Kafka's are noted for who debugs, all others are logged as ever."""
    error = context.get("exception")
    if isinstance(error, KafkaError):
        log.debug("of a client that was thrown away: %s: %s", type(error).__name__, error)
    else:
        loop.default_exception_handler(context)
