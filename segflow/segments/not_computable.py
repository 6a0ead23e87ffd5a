"""The error for a result that is not a number. It must never become a label: NaN compares false with everything."""

from dataclasses import asdict

import numpy as np
import numpy.typing as npt

from segflow.schemas.model_error import ModelError
from segflow.segments.parameters import Parameters


class NotComputableError(ModelError):
    """A label has no value to stand on; the message says of how many customers, under what, and what to do."""


def all_computed(values: npt.NDArray[np.float64], dimension: str, parameters: Parameters) -> npt.NDArray[np.float64]:
    """The `values`, of shape (n,) or (n, k), as they are.

    Raises:
        NotComputableError: one is not a number.
    """
    wrong = np.isnan(values)
    if wrong.any():
        customers = int(np.count_nonzero(wrong.reshape(len(values), -1).any(axis=1)))
        raise NotComputableError(
            f"{dimension} cannot be computed for {customers:,} of {len(values):,} customers under "
            f"{_told(parameters)}. Nothing was published of them. Put other values into `parameters` of the settings, "
            "or let `segflow fit` find them again"
        )
    return values


def _told(parameters: Parameters) -> str:
    return "; ".join(
        f"parameters.{model} {', '.join(f'{name} {value:g}' for name, value in values.items())}"
        for model, values in asdict(parameters).items()
    )
