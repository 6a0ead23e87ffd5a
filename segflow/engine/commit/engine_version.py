"""The version of what commits give, which the journal keeps with each of them."""

from typing import Final

ENGINE: Final = 1
"""To be raised with every change by which the same input, plan and state could give other changes, dead letters or
records than before. Releases that change nothing of that share a number, so most upgrades meet none that is older.
tests/golden has a journal of each; where a replay of the latest one comes to something else, that was forgotten. 0: of
entries from before the journal kept it."""
