"""The labels of the built-in dimensions. Their order here is the default order of dimensions."""

from typing import Final

LABELS: Final[dict[str, tuple[str, ...]]] = {
    "lifecycle": ("prospect", "new", "active", "loyal", "reactivated", "at_risk", "churned"),
    "rfm": ("none",),  # and those of its grid, a setting
    "value": ("a", "b", "c", "none"),
    "churn": ("low", "medium", "high", "lost", "none"),
    "clv": ("high", "medium", "low", "none"),
    "engagement": ("core", "active", "visitor", "dormant"),
    "price": ("sensitive", "mixed", "full_price", "unknown"),
    "cadence": ("regular", "occasional", "one_off", "none"),
    "satisfaction": ("promoter", "passive", "detractor", "unknown"),
    "payment": ("good", "slow", "overdue", "unknown"),
}
"""Labels by dimension. A test holds them to the models."""
