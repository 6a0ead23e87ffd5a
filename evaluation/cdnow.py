"""The evaluation on CDNOW: alarms up to 30 September 1997, and purchases in the 39 weeks after."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import numpy as np

from evaluation.measures import Estimate
from evaluation.replay import Alarming, Alarms, replay, up_to
from evaluation.study import ALIVE, GRID, IDLE, Study, crossing
from segflow.fitting import mbg_nbd
from segflow.operations.line_files import LineFiles
from segflow.operations.populations import purchase_log
from segflow.schemas.parameters import MbgNbd, Parameters
from segflow.schemas.settings import Settings
from segflow.segments.instant import to_text
from segflow.segments.mbg_nbd import WEEK_US, History, falls_to_weeks
from segflow.segments.models.churn import Churn
from segflow.segments.parameters import MbgNbd as Fitted

HISTORY: Final = Path(__file__).parents[1] / "examples" / "cdnow.jsonl.gz"
CUT_OFF_US: Final = 875_577_600_000_000  # 30 September 1997, 00:00 UTC: the end of the published first half
END_US: Final = 899_164_800_000_000  # 30 June 1998, 00:00 UTC: the last day of the data
WEEKS: Final = (END_US - CUT_OFF_US) // WEEK_US  # 39
ALARMING: Final[Alarming] = {
    "lifecycle": frozenset({"at_risk", "churned"}),
    "churn": frozenset({"high", "lost"}),
    "rfm": frozenset({"at_risk", "cant_lose"}),
}
RULES: Final = (
    ("fixed days", "lifecycle", IDLE),
    ("personal rhythm", "churn", ALIVE),
    ("RFM grid", "rfm", GRID),
)
POPULATIONS: Final = (("everybody", 1), ("bought on more than one day", 2))
BANDS: Final = ((1, 1), (2, 2), (3, 5), (6, None))
"""Groups of customers by distinct purchase days up to the cut-off: from, to."""
WAITS_DAYS: Final = (45, 60, 75, 90, 105, 120, 135, 150)
CHANCES: Final = ("0.6", "0.55", "0.5", "0.45", "0.4", "0.35", "0.3", "0.25")
"""Thresholds of the two sweeps: from the earliest useful to the latest that still leaves half a year of alarms."""
DIGITS: Final = 6
"""Significant digits of a fitted parameter, as `segflow fit` writes them."""
FIGURES: Final = 5
"""Significant digits of a result: more than its interval warrants."""

Log = Sequence[list[bytes]]


def evaluate(*, sweeps: bool = True) -> dict[str, Any]:
    """All figures, as plain JSON. Takes some 20 seconds, without the sweeps of thresholds some 5."""
    settings = Settings(currency="USD", clock="event", dimensions=("lifecycle", "rfm", "churn"))
    log = purchase_log(settings, LineFiles([str(HISTORY)]))
    fitted = {
        name: float(f"{value:.{DIGITS}g}") for name, value in asdict(mbg_nbd.fit(log.at(CUT_OFF_US).sample)).items()
    }
    settings = settings.model_copy(update={"parameters": Parameters(mbg_nbd=MbgNbd(**fitted))})
    lines = up_to((batch.values for batch in LineFiles([str(HISTORY)])), CUT_OFF_US)
    study = Study.of(replay(settings, lines, CUT_OFF_US, ALARMING), log, WEEKS)
    content: dict[str, Any] = {
        "command": "make evaluate",
        "cut_off": to_text(CUT_OFF_US),
        "end": to_text(END_US),
        "weeks": WEEKS,
        "parameters": fitted,
        "at_risk_after_days": settings.lifecycle.at_risk_after // timedelta(days=1),
        "medium_from": float(settings.churn.medium_from),
        "one_time_days": _one_time_days(Fitted(**fitted), float(settings.churn.medium_from)),
        "populations": [_population(study, settings, lines, name, days) for name, days in POPULATIONS],
        "bands": [study.band(low, high) for low, high in BANDS],
        "roc": study.roc(POPULATIONS[-1][1]),
    }
    if sweeps:
        content["sweeps"] = _sweeps(study, settings, lines, POPULATIONS[-1][1])
    rounded: dict[str, Any] = _rounded(content)
    return rounded


def _one_time_days(parameters: Fitted, chance: float) -> float:
    """Days of silence after which P(alive) of a customer of one purchase has fallen to `chance`."""
    nothing = np.zeros(1)
    weeks = falls_to_weeks(parameters, History(repeats=nothing, recency_weeks=nothing), np.array([chance]))
    return float(weeks[0, 0]) * 7


def _population(study: Study, settings: Settings, lines: Log, name: str, days: int) -> dict[str, Any]:
    """The figures of the customers who had bought on at least `days` days."""
    chosen = study.days >= days
    rules = [
        {"rule": rule, "dimension": dimension, "score": score, **study.rule(study.seen.alarms[dimension], days)}
        for rule, dimension, score in RULES
    ]
    wait_days = study.as_precise(rules[1]["precision"]["value"], days)
    patient = study.rule(_fixed(settings, lines, wait_days), days)
    return {
        "name": name,
        "customers": int(chosen.sum()),
        "lost": asdict(Estimate.of_share(int((chosen & study.lost).sum()), int(chosen.sum()))),
        "rules": rules,
        "as_precise": {"wait_days": wait_days, **patient},
        "areas": study.areas(days),
    }


def _sweeps(study: Study, settings: Settings, lines: Log, days: int) -> dict[str, Any]:
    """Both rules under other thresholds, and the fixed days that raise as many false alarms as personal rhythm."""
    wanted = ("recall", "of_others", "lead_days", "warning_days", "raised", "false")

    def point(threshold: float, alarms: Alarms) -> dict[str, Any]:
        found = study.rule(alarms, days)
        return {"threshold": threshold} | {name: found[name] for name in wanted}

    fixed = [point(wait, _fixed(settings, lines, wait)) for wait in WAITS_DAYS]
    rhythm = [point(float(chance), _rhythm(settings, lines, chance)) for chance in CHANCES]
    ours = study.rule(study.seen.alarms["churn"], days)
    return {
        "fixed": fixed,
        "rhythm": rhythm,
        "for_as_many_false": {
            "fixed_wait_days": crossing(fixed, "threshold", "false", ours["false"]),
            "fixed_warning_days": crossing(fixed, "warning_days", "false", ours["false"]),
            "rhythm_warning_days": ours["warning_days"],
        },
    }


def _fixed(settings: Settings, lines: Log, wait_days: int) -> Alarms:
    """The alarms of lifecycle with another `at_risk_after`."""
    patient = settings.lifecycle.model_copy(update={"at_risk_after": timedelta(days=wait_days)})
    changed = settings.model_copy(update={"dimensions": ("lifecycle",), "lifecycle": patient})
    return replay(changed, lines, CUT_OFF_US, {"lifecycle": ALARMING["lifecycle"]}).alarms["lifecycle"]


def _rhythm(settings: Settings, lines: Log, chance: str) -> Alarms:
    """The alarms of churn with another `medium_from`."""
    held = settings.churn
    churn = Churn(low_from=Decimal("0.9"), medium_from=Decimal(chance), high_from=held.high_from)
    changed = settings.model_copy(update={"dimensions": ("churn",), "churn": churn})
    return replay(changed, lines, CUT_OFF_US, {"churn": ALARMING["churn"]}).alarms["churn"]


def _rounded(content: Any) -> Any:
    """The content with each float rounded to FIGURES digits."""
    match content:
        case dict():
            return {name: _rounded(value) for name, value in content.items()}
        case list() | tuple():
            return [_rounded(value) for value in content]
        case float():
            return float(f"{content:.{FIGURES}g}")
        case _:
            return content
