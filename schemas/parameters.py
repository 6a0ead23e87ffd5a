"""Parameters of the purchase models: a section of the settings that several dimensions look at."""

from typing import Annotated, Final

from pydantic import Field

from segflow.schemas.section import Section

SHAPES: Final = (0.001, 10**6)
"""Of the shapes of a distribution: far beyond any population's, and nothing overflows."""
WEEKS: Final = (1e-6, 10**9)
"""Of a scale of times, which is that of the data: from a second to longer than there are calendars."""
MONEY: Final = (1e-9, 10**18)
"""Of a scale of amounts, which is that of the data, and of the currency. A single amount is below 10^12."""

Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Shape = Annotated[Finite, Field(ge=SHAPES[0], le=SHAPES[1])]
Weeks = Annotated[Finite, Field(ge=WEEKS[0], le=WEEKS[1])]
PerPurchase = Annotated[Finite, Field(ge=MONEY[0], le=MONEY[1])]


class MbgNbd(Section):
    """Parameters of the MBG/NBD model: the rate at which customers buy, and the chance at which they are lost."""

    r: Shape = 0.525
    alpha_weeks: Weeks = 6.183
    a: Shape = 0.891
    b: Shape = 1.614


class GammaGamma(Section):
    """Parameters of the Gamma-Gamma model: the money of a customer's purchase."""

    p: Shape = 6.25
    q: Annotated[Finite, Field(gt=1, le=SHAPES[1])] = Field(3.74, description="at 1 money has no mean")
    gamma: PerPurchase = Field(15.45, description="in major units of `currency`")


class Parameters(Section):
    """Parameters of the purchase models, which `segflow fit` finds. The defaults are those of CDNOW's customers."""

    mbg_nbd: MbgNbd = MbgNbd()
    gamma_gamma: GammaGamma = GammaGamma()
