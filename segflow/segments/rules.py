"""The rules in force: the models in the settings' order, and the cuts they use."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from segflow.schemas.currency import minor_digits, to_minor
from segflow.schemas.parameters import Parameters as WrittenParameters
from segflow.schemas.settings import Settings
from segflow.segments.actions import NO_ACTIONS, Actions, actions_of
from segflow.segments.attributes import ATTRIBUTE
from segflow.segments.cuts import Cuts
from segflow.segments.declaration import Common, Declaration
from segflow.segments.facts import Facts, Labels, Times
from segflow.segments.instant import NEVER, duration_us
from segflow.segments.model import FACTS, MODEL, Model
from segflow.segments.models.clv import build_clv
from segflow.segments.models.rule_dimension import RuleDimension
from segflow.segments.parameters import GammaGamma, MbgNbd, Parameters
from segflow.segments.recut import RecutPolicy
from segflow.segments.share import of_one
from segflow.segments.window import slots_of_12_months

Flags = npt.NDArray[np.bool_]
NOTHING_HELD: Final[Mapping[str, Labels]] = {}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """One rule version: models, cuts and parameters. `definition` and `cuts.version` are offsets of control records.

    Label codes of n customers are one array of shape (n, number of models), columns in the settings' order.
    """

    models: tuple[Model, ...]
    cuts: Cuts
    cuts_looked_at: Mapping[str, tuple[str, ...]]  # by dimension, fields of Cuts; of others none
    slot_us: int  # slots of cadence and of rfm's window; slot 0 begins at the Unix epoch
    definition: int = 0
    holdout_share: float = 0.0  # of customers in the control group
    actions: Actions = NO_ACTIONS
    attributes: tuple[str, ...] = ()  # of profiles, those that are kept
    keeping: tuple[Declaration[Any], ...] = ()  # models whose sections of the record events change
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
        """The sections that records need: the dimensions, the window, `attributes.<name>` for each attribute.

        A dimension whose model is of another package is named `models.<name>`, one that is off and whose facts are kept
        `facts.<name>`.
        """
        window = ("window",) if self.window_slots else ()
        packaged = {model.name for model in self.keeping if model.package is not None}
        names = (f"{MODEL}{name}" if name in packaged else name for name in self.names)
        unlisted = (f"{FACTS}{model.name}" for model in self.keeping if model.name not in self.names)
        return (*names, *unlisted, *window, *(f"{ATTRIBUTE}{name}" for name in self.attributes))

    @cached_property
    def looked_at(self) -> frozenset[str]:
        """The sections of records that the models look at. Others may be kept, for dimensions to come."""
        own = {name for model in self.keeping if model.name in self.names for name in (model.name, *model.needs)}
        own |= {"window"} if self.window_slots else set()
        return frozenset(
            own | ({"attributes"} if any(isinstance(each, RuleDimension) for each in self.models) else set())
        )

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
            fields = self.cuts_looked_at.get(model.name, ())
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
        """The time at which silence alone changes each label, shape (n, models); `codes` are the labels at `at_us`.

        Models in `held` are not asked; theirs is NEVER.
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
    common = common_of(settings)
    models: dict[str, Model] = {
        name: each.build(getattr(settings, name), common) for name, each in settings.declarations().items()
    }
    conditions = settings.conditions()
    for name, spec in settings.rule_dimensions.items():
        models[name] = RuleDimension(
            name=name,
            rules=conditions[name],
            texts=tuple(rule.when for rule in spec.rules),
            otherwise=spec.otherwise,
            minor=common.minor_per_major,
            models={each: model.labels for each, model in models.items()},
        )
    return Rules(
        models=tuple(models[name] for name in settings.dimensions),
        attributes=settings.attributes(),
        cuts=fixed_cuts(settings),
        cuts_looked_at={name: each.cuts for name, each in settings.declarations().items()},
        slot_us=common.slot_us,
        definition=definition,
        holdout_share=settings.holdout_share,
        actions=actions_of(settings, {name: models[name] for name in settings.dimensions}),
        keeping=keeping(settings),
        window_slots=kept_slots(settings),
    )


def common_of(settings: Settings) -> Common:
    """The settings that all models share."""
    return Common(minor_per_major=10 ** minor_digits(settings.currency), slot_us=duration_us(settings.slot))


def keeping(settings: Settings) -> tuple[Declaration[Any], ...]:
    """The models whose sections of the record are kept: those the dimensions look at, and those `facts` names."""
    declared = settings.declarations()
    models = [declared[name] for name in (*settings.dimensions, *settings.models_kept()) if name in declared]
    wanted = {name for model in models for name in (model.name, *model.needs)}
    return tuple(each for name, each in declared.items() if name in wanted and each.section is not None)


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
        parameters=parameters_of(settings.parameters),
    )


def parameters_of(written: WrittenParameters) -> Parameters:
    """As they are written in settings, where they hold until there is a fit, or by a fit."""
    return Parameters(
        mbg_nbd=MbgNbd(**written.mbg_nbd.model_dump()), gamma_gamma=GammaGamma(**written.gamma_gamma.model_dump())
    )


def recut_policy_of(settings: Settings) -> RecutPolicy:
    """The population cuts that `settings` ask for, of the dimensions they list."""
    value = settings.value
    by_share = "value" in settings.dimensions and value.cuts == "share"
    by_worth = "clv" in settings.dimensions and settings.clv.cuts == "terciles"
    return RecutPolicy(
        quintiles="rfm" in settings.dimensions and settings.rfm.cuts == "quantile",
        value_shares=(of_one(value.a_up_to), of_one(value.b_up_to)) if by_share else None,
        clv=build_clv(settings.clv, common_of(settings)) if by_worth else None,
        fixed=fixed_cuts(settings),
        min_population=settings.recut.min_population,
        every_us=duration_us(settings.recut.every),
        churned_after_us=duration_us(settings.lifecycle.churned_after),
        slot_us=duration_us(settings.slot),
        window_slots=window_slots(settings),
    )


def window_slots(settings: Settings) -> int:
    """The number of slots that rfm looks at, the present one included; 0: a customer's whole life."""
    return 0 if settings.rfm.window is None else settings.rfm.window // settings.slot


def kept_slots(settings: Settings) -> int:
    """The number of slots of money and orders that are kept: enough for both rfm and alerts."""
    by_rfm = window_slots(settings) if "rfm" in settings.dimensions else 0
    by_alerts = slots_of_12_months(duration_us(settings.slot)) if settings.alerts.last_12_months else 0
    return max(by_rfm, by_alerts)
