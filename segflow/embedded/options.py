"""Choosing a server: the first option that works, and for each that does not its reason."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

REQUIRE_REAL = "SEGFLOW_REQUIRE_REAL"


class UnavailableError(RuntimeError):
    """One option cannot be had here; the message says why and what would help."""


class NothingToRunError(RuntimeError):
    """No option works here; the message lists each with its reason and what would help."""


class Choosable(Protocol):
    """A running server, or the address of one."""

    passed_over: tuple[str, ...]
    """Why each option before this one was not taken."""

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
    """Whether it counts where guarantees are shown (SEGFLOW_REQUIRE_REAL)."""


def real_is_required() -> bool:
    """Whether the environment asks for the real servers and no stand-in, as CI does."""
    return os.environ.get(REQUIRE_REAL, "0") not in {"", "0"}


def first_that_works(wanted: str, options: Sequence[Option[ServerT]], *, only_real: bool) -> ServerT:
    """Start the options in their order until one answers.

    Raises:
        NothingToRunError: none did.
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
