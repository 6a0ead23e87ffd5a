"""Parameters of the purchase models: a section of the settings that several dimensions look at."""

from typing import Annotated

from pydantic import Field

from segflow.schemas.section import Parameter, Section


class MbgNbd(Section):
    """Parameters of the MBG/NBD model: the rate at which customers buy, and the chance at which they are lost."""

    r: Parameter = 0.525
    alpha_weeks: Parameter = 6.183
    a: Parameter = 0.891
    b: Parameter = 1.614


class GammaGamma(Section):
    """Parameters of the Gamma-Gamma model: the money of a customer's purchase."""

    p: Parameter = 6.25
    q: Annotated[float, Field(gt=1, le=10**6, strict=True)] = Field(3.74, description="at 1 money has no mean")
    gamma: Parameter = Field(15.45, description="in major units of `currency`")


class Parameters(Section):
    """Parameters of the purchase models, which `segflow fit` finds. The defaults are those of CDNOW's customers."""

    mbg_nbd: MbgNbd = MbgNbd()
    gamma_gamma: GammaGamma = GammaGamma()
