"""One measured number beside what it should be."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

QUANTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A number with its unit; at most one of `at_least` and `at_most` is its target."""

    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def target(self) -> str:
        """The target for people, empty where there is none."""
        if self.at_least is not None:
            return f"≥ {number(self.at_least)}"
        return "" if self.at_most is None else f"≤ {number(self.at_most)}"

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None where there is none."""
        if self.at_least is not None:
            return self.value >= self.at_least
        return None if self.at_most is None else self.value <= self.at_most

    def as_json(self) -> dict[str, Any]:
        """For the results' file."""
        found: dict[str, Any] = {"name": self.name, "value": float(f"{self.value:.6g}"), "unit": self.unit}
        return found | ({"target": self.target, "met": self.met} if self.target else {})


def number(value: float) -> str:
    """Three digits at least, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def delays(name: str, delays_ms: npt.NDArray[np.float64], at_most: dict[str, float] | None = None) -> list[Figure]:
    """The quantiles of delays in milliseconds, shape (n,), n > 0; `at_most`: targets by quantile."""
    targets = at_most or {}
    return [
        Figure(name=f"{name}, {label}", value=float(np.percentile(delays_ms, q)), unit="ms", at_most=targets.get(label))
        for label, q in QUANTILES.items()
    ]
