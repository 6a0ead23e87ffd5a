"""A fit as a whole: parameters, their likelihood, and their calibration."""

from dataclasses import dataclass, field

from segflow.fitting import gamma_gamma, mbg_nbd
from segflow.fitting.calibration import Row, calibration
from segflow.fitting.sample import FitError, Sample
from segflow.segments.mbg_nbd import Values
from segflow.segments.parameters import GammaGamma, Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The result of a fit. Without a fit of money, `parameters` keeps the Gamma-Gamma parameters of before."""

    parameters: Parameters
    customers: int
    repeaters: int  # customers with more than one purchase day
    paying: int  # customers whose money of repeat days is above zero
    mbg_nbd_log_likelihood: float
    gamma_gamma_log_likelihood: float | None  # None: there is no fit of money
    calibration: list[Row]  # empty where none was possible
    held_out_weeks: float
    notes: list[str] = field(default_factory=list)  # each thing that could not be done, with the reason


def fit(sample: Sample, held: GammaGamma, before: Sample, later_days: Values, held_out_weeks: float) -> Fit:
    """Fit both models to `sample`, and calibrate a fit to `before` on the `later_days` bought since.

    Args:
        sample: the population.
        held: Gamma-Gamma's parameters so far.
        before: the population at the start of the held-out period.
        later_days: distinct purchase days of each customer of `before` since then, shape (len(before),).
        held_out_weeks: length of the held-out period.

    Raises:
        FitError: the population gives no parameters of MBG/NBD.
    """
    notes = []
    found = mbg_nbd.fit(sample)
    money, money_log_likelihood = held, None
    try:
        money = gamma_gamma.fit(sample)
        money_log_likelihood = gamma_gamma.log_likelihood(money, sample)
    except FitError as error:
        notes.append(f"Gamma-Gamma stays as it was: {error}")
    rows: list[Row] = []
    try:
        rows = calibration(mbg_nbd.fit(before), before, later_days, held_out_weeks)
    except FitError as error:
        notes.append(f"no calibration: before the held-out period there were {error}")
    return Fit(
        parameters=Parameters(mbg_nbd=found, gamma_gamma=money),
        customers=len(sample),
        repeaters=int((sample.repeats > 0).sum()),
        paying=len(gamma_gamma.paid(sample)),
        mbg_nbd_log_likelihood=mbg_nbd.log_likelihood(found, sample),
        gamma_gamma_log_likelihood=money_log_likelihood,
        calibration=rows,
        held_out_weeks=held_out_weeks,
        notes=notes,
    )
