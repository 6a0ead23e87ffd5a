"""The choice of a server: the first option that works, and the reason of each that does not."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

REQUIRE_REAL = "SEGFLOW_REQUIRE_REAL"


class UnavailableError(RuntimeError):
    """An option that does not work on this machine. The message says why and what would help."""


class NothingToRunError(RuntimeError):
    """No option works on this machine. The message lists each with its reason and what would help."""


class Choosable(Protocol):
    """A running server, or the address of one."""

    passed_over: tuple[str, ...]
    """For each option before this one, the reason why it was not taken."""

    def close(self) -> None:
        """End what was started."""


ServerT = TypeVar("ServerT", bound=Choosable)


@dataclass(frozen=True, kw_only=True)
class Option(Generic[ServerT]):
    """One way to have a server."""

    name: str
    start: Callable[[], ServerT]
    """Returns once the server answers; raises UnavailableError."""
    real: bool = False
    """Whether it counts for tests of guarantees (SEGFLOW_REQUIRE_REAL)."""


def real_is_required() -> bool:
    """Whether the environment admits real servers only and no stand-ins, as in CI."""
    return os.environ.get(REQUIRE_REAL, "0") not in {"", "0"}


def first_that_works(wanted: str, options: Sequence[Option[ServerT]], *, only_real: bool) -> ServerT:
    """The server of the first option that starts.

    Args:
        wanted: the kind of server, for messages.
        options: best first.
        only_real: skip options that are not real.

    Raises:
        NothingToRunError: none started.
    """
    reasons: list[str] = []
    for option in options:
        if only_real and not option.real:
            reasons.append(f"{option.name}: not tried, only the real thing counts here ({REQUIRE_REAL})")
            continue
        try:
            server = option.start()
        except UnavailableError as error:
            reasons.append(f"{option.name}: {error}")
        else:
            server.passed_over = tuple(reasons)
            return server
    raise NothingToRunError("\n- ".join([f"no {wanted} to run. Tried in this order:", *reasons]))
