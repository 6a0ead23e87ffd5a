"""The business side of a label: its strategy, and the changes that are alerts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from segflow.schemas.settings import Alerts, Settings
from segflow.segments.model import Model

Place = tuple[str, str]
"""A dimension and a label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actions:
    """Strategies and alerts, by dimension and label.

    strategies: name and priority, 1 first. alerts: a change into such a label is an alert. classes: for customers of
    these classes of `value` only; None: for all.
    """

    strategies: Mapping[Place, tuple[str, int]] = field(default_factory=dict)
    alerts: frozenset[Place] = frozenset()
    classes: frozenset[str] | None = None


NO_ACTIONS: Final = Actions()


def actions_of(settings: Settings, models: Mapping[str, Model]) -> Actions:
    """The actions of the settings, as far as their dimensions are on.

    Args:
        settings: of which `strategies`, `alerts` and `dimensions` count.
        models: of the dimensions that are on, by name.

    Raises:
        ValueError: a label that its dimension does not have; the defaults aside, for a grid may lack them.
    """
    wanted = {
        "strategies": [(name, label) for name, labels in settings.strategies.items() for label in labels],
        "alerts.into": [(name, label) for name, labels in settings.alerts.into.items() for label in labels],
    }
    for path, places in wanted.items():
        for name, label in places:
            known = models[name].labels if name in models else (label,)
            if label not in known and not (path == "alerts.into" and settings.alerts.into == Alerts().into):
                raise ValueError(f"{path}.{name}: there is no label {label}; there are {', '.join(known)}")
    by_class = "value" in models and bool(settings.alerts.value)
    return Actions(
        strategies={
            (name, label): (strategy.name, strategy.priority)
            for name, labels in settings.strategies.items()
            for label, strategy in labels.items()
            if name in models
        },
        alerts=frozenset((name, label) for name, label in wanted["alerts.into"] if name in models),
        classes=frozenset(settings.alerts.value) if by_class else None,
    )
