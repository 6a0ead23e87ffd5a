"""Cuts of a population, as the control topic or a run has them, for the oracle."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from segflow.segments.cuts import Cuts
from segflow.segments.instant import EPOCH
from tests.oracle.simulation import OracleRules


def under_cuts(rules: OracleRules, version: int, cuts: Mapping[str, Any]) -> OracleRules:
    """The rules under the cuts of a control record; money has two digits."""
    b_from, a_from = cuts["value_minor"]
    medium_from, high_from = cuts["clv_minor"]
    instants = cuts["recency_from_us"]
    return replace(
        rules,
        recency_cuts=tuple(timedelta(microseconds=age_us) for age_us in cuts["recency_us"]),
        recency_instants=None if instants is None else tuple(map(moment, instants)),
        frequency_cuts=tuple(cuts["frequency"]),
        monetary_cuts=tuple(Decimal(minor) / 100 for minor in cuts["monetary_minor"]),
        window_cut_at=None if cuts["window_at_us"] is None else moment(cuts["window_at_us"]),
        value_cuts=(Decimal(a_from) / 100, Decimal(b_from) / 100),
        clv_cuts=(Decimal(high_from) / 100, Decimal(medium_from) / 100),
        clv_cut_at=None if cuts["clv_at_us"] is None else moment(cuts["clv_at_us"]),
        cuts=version,
    )


def under_held(rules: OracleRules, cuts: Cuts) -> OracleRules:
    """The rules under cuts that the product holds."""
    return under_cuts(rules, cuts.version, asdict(cuts))


def moment(time_us: int) -> datetime:
    """A time as the oracle has it."""
    return EPOCH + timedelta(microseconds=time_us)
