"""The version of segflow, as `segflow --version` says it."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

NOT_INSTALLED: Final = "unknown (a checkout, not installed)"


@cache  # each entry of the journal says it
def installed_version() -> str:
    """The version in the metadata of the installed package, else NOT_INSTALLED."""
    try:
        return version("segflow")
    except PackageNotFoundError:
        return NOT_INSTALLED
