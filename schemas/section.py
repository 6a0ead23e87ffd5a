"""The base class of every section of the settings, and its field types: numbers and times with their bounds."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from segflow.schemas.currency import LIMIT_MAJOR
from segflow.schemas.duration import Duration


def _wait(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("must be above zero")
    return span


Money = Annotated[Decimal, Field(gt=-LIMIT_MAJOR, lt=LIMIT_MAJOR)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]  # strict: `true` is no count; nobody has 10^9 of anything
Wait = Annotated[Duration, AfterValidator(_wait)]
Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)]  # segments/share.py counts in ten-thousandths
Score = Annotated[int, Field(ge=1, le=10, strict=True)]
Weight = Annotated[float, Field(ge=0, le=10**6, strict=True)]  # nothing is a million visits
Threshold = Annotated[float, Field(gt=0, le=10**12, strict=True)]
Chance = Annotated[Decimal, Field(gt=0, lt=1, decimal_places=4)]
EventName = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class Section(BaseModel):
    """A part of the settings. Unknown keys are refused, values are frozen, and errors do not show the input."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)
