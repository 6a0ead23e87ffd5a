"""How many examples a property test draws: in CI as many as it asks for, while somebody works a few."""

from collections.abc import Collection
from typing import Final

from hypothesis import HealthCheck, settings

DEV: Final = "dev"
CI: Final = "ci"
DEV_EXAMPLES: Final = 12
"""An eighth of Hypothesis's own default, 100."""
DEV_SHARE: Final = 20
"""Of the examples that a test asks for itself, one in so many. The tests that start no server then take less than a
minute of one core, of which random examples are half."""


def trials(count: int, *, suppress_health_check: Collection[HealthCheck] = ()) -> settings:
    """The settings of a property test that draws `count` examples under the profile `ci`.

    Under `dev` it draws one for every twenty of them, and no more than 12.
    """
    most = min(-(-count // DEV_SHARE), DEV_EXAMPLES) if settings.get_current_profile_name() == DEV else count
    drawn = settings(max_examples=most)
    return settings(drawn, suppress_health_check=suppress_health_check) if suppress_health_check else drawn
