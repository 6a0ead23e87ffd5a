"""The rules in force: the models in the settings' order, and the cuts they use."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from segflow.schemas.currency import minor_digits, to_minor
from segflow.schemas.dimension_settings import ChurnThresholds
from segflow.schemas.settings import Settings
from segflow.segments.actions import NO_ACTIONS, Actions, actions_of
from segflow.segments.attributes import ATTRIBUTE
from segflow.segments.cuts import LOOKED_AT, Cuts
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, duration_us
from segflow.segments.mbg_nbd import WEEK_US
from segflow.segments.model import Model
from segflow.segments.models.cadence import Cadence
from segflow.segments.models.churn import Churn, Thresholds
from segflow.segments.models.clv import Clv
from segflow.segments.models.engagement import Engagement
from segflow.segments.models.lifecycle import Lifecycle
from segflow.segments.models.payment import Payment
from segflow.segments.models.price import Price
from segflow.segments.models.rfm import Rfm
from segflow.segments.models.rule_dimension import RuleDimension
from segflow.segments.models.satisfaction import Satisfaction
from segflow.segments.models.value import Value
from segflow.segments.models.windowed_rfm import WindowedRfm
from segflow.segments.parameters import GammaGamma, MbgNbd, Parameters
from segflow.segments.recut import RecutPolicy
from segflow.segments.share import of_one
from segflow.segments.window import slots_of_12_months

Flags = npt.NDArray[np.bool_]
NOTHING_HELD: Final[Mapping[str, Labels]] = {}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What divides customers at one time: `definition` and `cuts.version` are offsets of control records.

    Label codes of n customers are one array of shape (n, number of models), columns in the settings' order.
    """

    models: tuple[Model, ...]
    cuts: Cuts
    slot_us: int  # slots of cadence and of rfm's window; slot 0 begins at the Unix epoch
    definition: int = 0
    holdout_share: float = 0.0  # of customers in the control group
    actions: Actions = NO_ACTIONS
    attributes: tuple[str, ...] = ()  # of profiles, those that some rule looks at
    window_slots: int = 0  # slots of money and orders that are kept, the present one included; 0: none

    @property
    def version(self) -> int:
        """Offset of the control record that made these rules the latest."""
        return max(self.definition, self.cuts.version)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The dimensions, in the settings' order."""
        return tuple(model.name for model in self.models)

    @cached_property
    def kept(self) -> tuple[str, ...]:
        """What records have to keep for them: the dimensions, the window, `attributes.<name>` for each attribute."""
        window = ("window",) if self.window_slots else ()
        return (*self.names, *window, *(f"{ATTRIBUTE}{name}" for name in self.attributes))

    @cached_property
    def start(self) -> Labels:
        """The labels of a customer nothing is known of, shape (number of models,)."""
        return np.array([model.start for model in self.models], dtype=np.uint8)

    def alerts(self, codes: Labels) -> Flags:
        """Whether a change of each of n customers, whose labels are `codes` then, is an alert; shape (n, models)."""
        found: Flags = self._alerting[np.arange(len(self.models)), codes]
        if self.actions.classes is not None:
            value = self.names.index("value")
            wanted = [code for code, label in enumerate(self.models[value].labels) if label in self.actions.classes]
            found &= np.isin(codes[:, value], wanted)[:, None]
        return found

    @cached_property
    def _alerting(self) -> Flags:
        """Whether changes into a label are alerts at all; shape (models, 256)."""
        found = np.zeros((len(self.models), 256), dtype=np.bool_)
        for column, model in enumerate(self.models):
            found[column, : len(model.labels)] = [(model.name, label) in self.actions.alerts for label in model.labels]
        return found

    def unmoved(self, old: Self) -> frozenset[str]:
        """The dimensions that look at nothing in which these rules differ from `old`: their labels stay."""
        if self.models is not old.models:
            return frozenset()
        found: set[str] = set()
        for model in self.models:
            fields = LOOKED_AT.get(model.name, ())
            same = all(getattr(self.cuts, name) == getattr(old.cuts, name) for name in fields)
            if same and (not isinstance(model, RuleDimension) or found.issuperset(model.looks_at)):
                found.add(model.name)
        return frozenset(found)

    def classify(self, facts: Facts, at_us: Times, held: Mapping[str, Labels] = NOTHING_HELD) -> Labels:
        """Label codes at `at_us`, shape (n, models), dtype uint8; those `held` are known and not asked for."""
        labels: dict[str, Labels] = {}
        for model in self.models:
            known = held.get(model.name)
            labels[model.name] = model.classify(facts, at_us, self.cuts, labels) if known is None else known
        return np.stack(list(labels.values()), axis=1)

    def deadlines(self, facts: Facts, at_us: Times, codes: Labels, held: Mapping[str, Labels] = NOTHING_HELD) -> Times:
        """When silence alone would change each label, shape (n, models); `codes` are the labels at `at_us`.

        Those `held` are not asked for, and NEVER here.
        """
        labels: dict[str, Labels] = {}
        due = np.full(codes.shape, NEVER, dtype=np.int64)
        for column, model in enumerate(self.models):
            labels[model.name] = codes[:, column]
            if model.name in held:
                continue
            due[:, column] = model.deadline(facts, at_us, self.cuts, labels)
            if isinstance(model, RuleDimension):  # it may change when one does whose label its rules look at
                for name in model.looks_at:
                    due[:, column] = np.minimum(due[:, column], due[:, self.names.index(name)])
        return due

    def deadline(self, facts: Facts, at_us: Times, codes: Labels, held: Mapping[str, Labels] = NOTHING_HELD) -> Times:
        """The earliest of `deadlines`, shape (n,)."""
        earliest: Times = self.deadlines(facts, at_us, codes, held).min(axis=1)
        return earliest

    def with_cuts(self, cuts: Cuts) -> Self:
        """The same definition under other cuts."""
        return replace(self, cuts=cuts)


def from_settings(settings: Settings, *, definition: int = 0) -> Rules:
    """The rules of `settings` with fixed cuts.

    Raises:
        ValueError: `strategies` or `alerts` name a label that its dimension does not have.
    """
    lifecycle, price, cadence = settings.lifecycle, settings.price, settings.cadence
    satisfaction, engagement, churn = settings.satisfaction, settings.engagement, settings.churn
    slot_us = duration_us(settings.slot)
    models: dict[str, Model] = {
        "lifecycle": Lifecycle(
            at_risk_after_us=duration_us(lifecycle.at_risk_after),
            churned_after_us=duration_us(lifecycle.churned_after),
            loyal_orders=lifecycle.loyal_orders,
            reactivated_for_us=duration_us(lifecycle.reactivated_for),
        ),
        "rfm": _rfm(settings, slot_us),
        "price": Price(
            min_purchases=price.min_purchases,
            sensitive_from=of_one(price.sensitive_from),
            full_price_up_to=of_one(price.full_price_up_to),
        ),
        "cadence": Cadence(regular_slots=cadence.regular_slots, of_slots=cadence.of_slots, slot_us=slot_us),
        "satisfaction": Satisfaction(
            promoter_from=satisfaction.promoter_from,
            passive_from=satisfaction.passive_from,
            unknown_after_us=duration_us(satisfaction.unknown_after),
        ),
        "engagement": Engagement(
            half_life_us=duration_us(engagement.half_life),
            visitor_from=engagement.visitor_from,
            active_from=engagement.active_from,
            core_from=engagement.core_from,
        ),
        "value": Value(),
        "churn": Churn(thresholds=_chances(churn), one_time=_chances(churn.one_time or churn)),
        "clv": clv_of(settings),
        "payment": Payment(slow_above=of_one(settings.payment.slow_above)),
    }
    conditions = settings.conditions()
    for name, spec in settings.rule_dimensions.items():
        models[name] = RuleDimension(
            name=name,
            rules=conditions[name],
            texts=tuple(rule.when for rule in spec.rules),
            otherwise=spec.otherwise,
            minor=10 ** minor_digits(settings.currency),
            models={each: model.labels for each, model in models.items()},
        )
    return Rules(
        models=tuple(models[name] for name in settings.dimensions),
        attributes=settings.attributes(),
        cuts=fixed_cuts(settings),
        slot_us=slot_us,
        definition=definition,
        holdout_share=settings.holdout_share,
        actions=actions_of(settings, {name: models[name] for name in settings.dimensions}),
        window_slots=kept_slots(settings),
    )


def _rfm(settings: Settings, slot_us: int) -> Model:
    rfm = Rfm(grid=settings.rfm.grid)
    slots = window_slots(settings)
    return WindowedRfm(rfm=rfm, slots=slots, slot_us=slot_us) if slots else rfm


def fixed_cuts(settings: Settings) -> Cuts:
    """The cuts of `rfm.fixed` and `value.fixed` and the settings' parameters, version 0."""
    fixed, value, worth = settings.rfm.fixed, settings.value.fixed, settings.clv.fixed
    digits = minor_digits(settings.currency)
    recency = [duration_us(cut) for cut in fixed.recency]
    monetary = [to_minor(cut, digits) for cut in fixed.monetary]
    return Cuts(
        version=0,
        recency_us=(recency[0], recency[1], recency[2], recency[3]),
        frequency=fixed.frequency,
        monetary_minor=(monetary[0], monetary[1], monetary[2], monetary[3]),
        value_minor=(to_minor(value.b_from, digits), to_minor(value.a_from, digits)),
        clv_minor=(to_minor(worth.medium_from, digits), to_minor(worth.high_from, digits)),
        parameters=parameters_of(settings),
    )


def clv_of(settings: Settings) -> Clv:
    """The model of what a customer is still worth."""
    return Clv(
        horizon_weeks=duration_us(settings.clv.horizon) / WEEK_US,
        minor_per_major=10 ** minor_digits(settings.currency),
    )


def parameters_of(settings: Settings) -> Parameters:
    """Those of the settings, which hold until there is a fit."""
    written = settings.parameters
    return Parameters(
        mbg_nbd=MbgNbd(**written.mbg_nbd.model_dump()), gamma_gamma=GammaGamma(**written.gamma_gamma.model_dump())
    )


def recut_policy_of(settings: Settings) -> RecutPolicy:
    """Which cuts `settings` want made of the population: those of dimensions they list."""
    value = settings.value
    by_share = "value" in settings.dimensions and value.cuts == "share"
    return RecutPolicy(
        quintiles="rfm" in settings.dimensions and settings.rfm.cuts == "quantile",
        value_shares=(of_one(value.a_up_to), of_one(value.b_up_to)) if by_share else None,
        clv=clv_of(settings) if "clv" in settings.dimensions and settings.clv.cuts == "terciles" else None,
        fixed=fixed_cuts(settings),
        min_population=settings.recut.min_population,
        every_us=duration_us(settings.recut.every),
        churned_after_us=duration_us(settings.lifecycle.churned_after),
        slot_us=duration_us(settings.slot),
        window_slots=window_slots(settings),
    )


def window_slots(settings: Settings) -> int:
    """How many slots rfm looks at, the present one included; 0: at all of a customer's life."""
    return 0 if settings.rfm.window is None else settings.rfm.window // settings.slot


def kept_slots(settings: Settings) -> int:
    """How many slots of money and orders are kept: as many as rfm looks at, and alerts."""
    by_rfm = window_slots(settings) if "rfm" in settings.dimensions else 0
    by_alerts = slots_of_12_months(duration_us(settings.slot)) if settings.alerts.last_12_months else 0
    return max(by_rfm, by_alerts)


def _chances(thresholds: ChurnThresholds) -> Thresholds:
    return float(thresholds.low_from), float(thresholds.medium_from), float(thresholds.high_from)
