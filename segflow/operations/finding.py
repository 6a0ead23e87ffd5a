"""One result of a look at an installation, for `segflow doctor`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    status: Literal["OK", "WARN", "FAIL"]
    message: str
    advice: str = ""  # what to do, where it is not OK
