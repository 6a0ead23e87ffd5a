"""The version of what commits give, which the journal keeps with each of them."""

from typing import Final

ENGINE: Final = 2
"""Raise it with every change after which the same input, plan and state could give other changes, dead letters or
records. Releases without such a change share a number, so most upgrades find no older one in the journal. tests/golden
has a journal of each number; if a replay of the latest gives something else, the number must be raised. Entries from
before the journal kept it have 0."""
