"""The settings: one YAML file. Every field has a default. Nonsense is refused with its path and the reason."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, create_model, field_validator, model_validator

from segflow.schemas.connection_settings import Kafka, Redis
from segflow.schemas.currency import CODE
from segflow.schemas.duration import Duration, to_text
from segflow.schemas.event import ATTRIBUTE_NAME_MAX, CustomerId
from segflow.schemas.expression.checking import RESERVED
from segflow.schemas.expression.meaning import Condition
from segflow.schemas.model_error import ModelError
from segflow.schemas.parameters import Parameters
from segflow.schemas.rule_dimensions import (
    ATTRIBUTES_MAX,
    LABEL_PATTERN,
    OF_THE_RECORD,
    Label,
    RuleDimension,
    attributes_of,
    checked,
    key_of,
    split,
)
from segflow.schemas.section import Count, Section, Wait
from segflow.schemas.worker_settings import Worker
from segflow.segments import plugins
from segflow.segments.declaration import Declaration, check
from segflow.segments.models.cadence import CADENCE, Cadence
from segflow.segments.models.churn import CHURN, Churn
from segflow.segments.models.clv import CLV, Clv
from segflow.segments.models.engagement import ENGAGEMENT, Engagement
from segflow.segments.models.lifecycle import LIFECYCLE, Lifecycle
from segflow.segments.models.payment import PAYMENT, Payment
from segflow.segments.models.price import PRICE, Price
from segflow.segments.models.rfm import RFM, Rfm
from segflow.segments.models.satisfaction import SATISFACTION, Satisfaction
from segflow.segments.models.value import VALUE, Value

NAME: Final = re.compile(LABEL_PATTERN).fullmatch
"""Matches the name of a dimension."""
HOW_IT_RUNS: Final = frozenset({"kafka", "redis", "clock", "erase", "nobody", "worker"})
"""Settings of an installation that say nothing of segments; all others are its definition."""
DEFINITION_BYTES_MAX: Final = 1_000_000
"""A definition is one record of the control topic. Kafka's clients send 1,048,576 bytes at most."""
WINDOW_SLOTS_MOST: Final = 40
"""The most slots of a window: three years of 28 days. It bounds a customer's record."""


class Recut(Section):
    """The schedule of cuts made of the population: RFM's quintiles, value's shares and clv's terciles."""

    every: Duration = Field(timedelta(days=1), description="event time between two re-cuts")
    min_population: Count = Field(
        500, description="with fewer living customers the fixed cuts hold, as others would be noise"
    )

    @model_validator(mode="after")
    def _not_all_the_time(self) -> Self:
        if self.every < timedelta(minutes=1):
            raise ValueError("every must be a minute or more: every re-cut looks at every customer")
        return self


class Strategy(Section):
    """The business's answer to a label, copied into each change into that label."""

    name: Label
    priority: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(1, description="1 first")


class Alerts(Section):
    """The changes that are alerts: copied into a topic of their own, with the money at stake."""

    into: dict[Label, tuple[Label, ...]] = Field(
        {"lifecycle": ("at_risk",), "churn": ("high",), "rfm": ("cant_lose",)},
        description="by dimension, the labels into which a change is an alert; dimensions that are off have none",
    )
    value: tuple[Literal["a", "b", "c", "none"], ...] = Field(
        ("a", "b"), description="only customers of these classes, where the dimension value is on; []: all customers"
    )
    last_12_months: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="keep money by slots, so that alerts have that of the last twelve months also where rfm.window is "
        "shorter or null. Costs 16 bytes for each slot with a purchase. A fact setting",
    )


def _or_word(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema of `facts` that it may also be one word."""
    schema |= {"type": ["object", "string"], "pattern": "^(all|listed)$"}


class Facts(Section):
    """Memory of customers beyond what the dimensions look at; `facts: all` says `models: all`."""

    model_config = ConfigDict(json_schema_extra=_or_word)

    models: Literal["all", "listed"] | tuple[Label, ...] | None = Field(
        None,
        description="all: the facts of every built-in model, so that any of them can be added to `dimensions` later. "
        "listed: those of `dimensions` alone, for the memory. Names: those of these models, too. null: what the "
        "installation keeps; a new one keeps all",
    )
    attributes: tuple[Annotated[str, StringConstraints(min_length=1, max_length=ATTRIBUTE_NAME_MAX)], ...] = Field(
        (),
        max_length=ATTRIBUTES_MAX,
        description="attributes that are kept although no rule looks at them yet. Each takes 21 bytes of a customer",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_word(cls, content: Any) -> Any:
        return {"models": content} if isinstance(content, str) else content

    @field_validator("models", mode="before")
    @classmethod
    def _words_or_names(cls, content: Any) -> Any:
        is_list = isinstance(content, list | tuple) and all(isinstance(each, str) for each in content)
        if not (content is None or content in ("all", "listed") or is_list):
            raise ValueError("must be all, listed, or a list of built-in models")
        return content


class Erase(Section):
    """The time for which a trace of an erased customer stays: a keyed hash of the id, and no name."""

    remembered_for: Wait = Field(
        timedelta(days=730),
        description="event time for which a keyed hash of the id keeps older events out; keep it as long as the inputs",
    )


def _or_mapping(schema: dict[str, Any]) -> None:
    """Add to the JSON Schema that `dimensions` may also be written as a mapping."""
    schema["items"] = {"anyOf": [{"enum": [*BUILT_IN], "type": "string"}, schema["items"]]}
    listed = {name: schema.pop(name) for name in ("items", "minItems", "type")}
    rules = {"type": ["object", "null"], "description": "as in `rule_dimensions`; null: built in"}
    schema["anyOf"] = [listed, {"type": "object", "additionalProperties": rules}]


class Settings(Section):
    """The content of segflow.yaml."""

    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    clock: Literal["wall", "event"] = Field(
        "wall", description="wall: silence is noticed as time passes. event: only events move time, for history"
    )
    currency: Annotated[str, StringConstraints(pattern=CODE)] = "EUR"
    rates: dict[Annotated[str, StringConstraints(pattern=CODE)], Annotated[Decimal, Field(gt=0, lt=10**9)]] = Field(
        {}, description="units of `currency` for one unit of another"
    )
    dimensions: tuple[Label, ...] = Field(
        ("lifecycle", "rfm"),
        min_length=1,
        description="names, in the order of their changes; or a mapping of names to rules (null for built-in ones)",
        json_schema_extra=_or_mapping,
    )
    rule_dimensions: dict[Label, RuleDimension] = Field(
        {}, description="rules of the dimensions that `dimensions` lists by name only"
    )
    lifecycle: Annotated[Lifecycle, LIFECYCLE] = Lifecycle()
    rfm: Annotated[Rfm, RFM] = Rfm()
    slot: Duration = Field(
        timedelta(days=28),
        description="length of the slots, counted from 1970 on, of cadence and rfm.window. A fact setting",
    )
    engagement: Annotated[Engagement, ENGAGEMENT] = Engagement()
    price: Annotated[Price, PRICE] = Price()
    cadence: Annotated[Cadence, CADENCE] = Cadence()
    satisfaction: Annotated[Satisfaction, SATISFACTION] = Satisfaction()
    value: Annotated[Value, VALUE] = Value()
    recut: Recut = Recut()
    churn: Annotated[Churn, CHURN] = Churn()
    clv: Annotated[Clv, CLV] = Clv()
    parameters: Parameters = Parameters()
    payment: Annotated[Payment, PAYMENT] = Payment()
    strategies: dict[Label, dict[Label, Strategy]] = Field(
        {}, description="strategies by dimension and label; each is copied into every change into that label"
    )
    alerts: Alerts = Alerts()
    facts: Facts = Facts()
    holdout_share: Annotated[float, Field(ge=0, le=1, strict=True)] = Field(
        0.0, description="share of customers in the control group"
    )
    nobody: tuple[CustomerId, ...] = Field(
        ("anonymous", "guest", "unknown", "undefined", "null", "none", "0"),
        max_length=100,
        description="ids that are nobody's, as written, in lower case, in upper case or capitalized: their events are "
        "dead letters, and no alias merges them",
    )
    erase: Erase = Erase()
    worker: Worker = Worker()

    @model_validator(mode="before")
    @classmethod
    def _dimensions_as_mapping(cls, content: Any) -> Any:
        if not isinstance(content, dict) or not isinstance(content.get("dimensions"), dict):
            return content
        if content.get("rule_dimensions"):
            raise ValueError("rule_dimensions: the rules stand in `dimensions` already")
        names, rules = split(content["dimensions"], (*IN_ORDER, *sorted(cls.declarations().keys() - BUILT_IN)))
        return content | {"dimensions": names, "rule_dimensions": rules}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.dimensions)) != len(self.dimensions):
            raise ValueError("dimensions must not repeat")
        if not timedelta(days=1) <= self.slot <= timedelta(days=366):
            raise ValueError("slot must be a day or more and at most 366d")
        if self.rfm.window is not None and not 1 <= self.rfm.window // self.slot <= WINDOW_SLOTS_MOST:
            raise ValueError(
                f"rfm.window must be one slot or more, and fewer than {WINDOW_SLOTS_MOST + 1}: "
                f"of {to_text(self.slot)} each (slot), {to_text(self.rfm.window)} are {self.rfm.window // self.slot}"
            )
        for name in self.dimensions:
            if name not in self.declarations() and name not in self.rule_dimensions:
                raise ValueError(
                    f"dimensions.{name}: is no dimension and has no rules; there are {', '.join(BUILT_IN)}, and no "
                    "installed package has a model of that name"
                )
        for name in self.rule_dimensions:
            if name not in self.dimensions:
                raise ValueError(f"rule_dimensions.{name}: `dimensions` does not list it")
        self._facts_fit_a_record()
        if self.currency in self.rates:
            raise ValueError(f"rates must not have {self.currency}: it is the currency itself")
        self._fits_a_record()
        return self

    def _facts_fit_a_record(self) -> None:
        unknown = {*self.models_kept()} - Settings.declarations().keys()
        if unknown:
            raise ValueError(f"facts.models: there are no built-in models {', '.join(sorted(unknown))}")
        names = self.attributes()
        if len(names) > ATTRIBUTES_MAX:
            raise ValueError(
                f"facts.attributes: with those that rules look at there may be {ATTRIBUTES_MAX}, and are {len(names)}"
            )
        if len(set(map(key_of, names))) < len(names):
            raise ValueError("facts.attributes: two names have the same hash in a record; leave one of them out")

    def _fits_a_record(self) -> None:
        parts = self.model_dump(mode="json", exclude=set(HOW_IT_RUNS))
        sizes = {name: len(json.dumps(part)) for name, part in parts.items()}
        if (total := sum(sizes.values())) > DEFINITION_BYTES_MAX:
            largest = max(sizes, key=sizes.__getitem__)
            raise ValueError(
                f"the settings that say what segments mean come to {total:,} bytes as JSON, and may have "
                f"{DEFINITION_BYTES_MAX:,}: each version of them is one record in Kafka. The most, {sizes[largest]:,}, "
                f"are in {'the rules of `dimensions`' if largest == 'rule_dimensions' else f'`{largest}`'}"
            )

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Settings":
        """Settings of plain content, which may name models of installed packages and have sections of them.

        Raises:
            ModelError: such a model cannot be used.
            pydantic.ValidationError: the content makes no sense.
        """
        listed = _without_rules(content)
        known = with_models(_models_named(listed | content.keys()))
        absent = listed - known.model_fields.keys()  # that a model is not there says more than that its section is not
        return known.model_validate({name: value for name, value in content.items() if name not in absent})

    def conditions(self) -> dict[str, tuple[tuple[str, Condition], ...]]:
        """Label and condition of each rule, in their order, by rule dimension."""
        labels = {name: each.all_labels(getattr(self, name)) for name, each in self.declarations().items()}
        return checked(self.dimensions, self.rule_dimensions, labels)

    @classmethod
    @cache
    def declarations(cls) -> Mapping[str, Declaration[Any]]:
        """The models these settings know, by name: those that stand in the annotations of their sections.

        Raises:
            ModelError: one of them cannot be used.
        """
        fields = cls.model_fields.items()
        found = {name: each for name, field in fields for each in field.metadata if isinstance(each, Declaration)}
        check(found)
        return found

    def attributes(self) -> tuple[str, ...]:
        """The attributes that are remembered, in alphabetical order: `facts.attributes`, and what rules look at."""
        return tuple(sorted({*attributes_of(self.conditions()), *self.facts.attributes}))

    def models_kept(self) -> tuple[str, ...]:
        """The built-in models whose facts are remembered whether or not `dimensions` lists them."""
        match self.facts.models:
            case "all" | None:
                return tuple(name for name, each in BUILT_IN.items() if each.section is not None and each.section.facts)
            case "listed":
                return ()
            case names:
                return names


BUILT_IN: Final = Settings.declarations()
"""The models that segflow itself has, by name."""
_BY_PURCHASES: Final = ("lifecycle", "rfm", "value", "churn", "clv")
IN_ORDER: Final = (*_BY_PURCHASES, *(name for name in BUILT_IN if name not in _BY_PURCHASES))
"""The order in which dimensions stand where settings do not say: first those that look at purchases alone."""


def with_models(models: Iterable[Declaration[Any]]) -> type[Settings]:
    """Settings that know these models of other packages, too: each has a section of its name."""
    further = {model.name: model for model in models}
    return _with_models(tuple(further[name] for name in sorted(further))) if further else Settings


@cache
def _with_models(models: tuple[Declaration[Any], ...]) -> type[Settings]:
    fields: dict[str, Any] = {each.name: (Annotated[each.settings, each], each.settings()) for each in models}
    return create_model("Settings", __base__=Settings, __module__=__name__, **fields)


def _without_rules(content: Mapping[str, Any]) -> set[str]:
    """Dimensions that are listed and have no rules: each has to have a model."""
    listed, rules = content.get("dimensions"), content.get("rule_dimensions")
    if isinstance(listed, Mapping):
        names = [name for name, own_rules in listed.items() if not own_rules]
    else:
        ruled = rules if isinstance(rules, Mapping) else {}
        names = (
            [name for name in listed if isinstance(name, str) and name not in ruled]
            if isinstance(listed, list | tuple)
            else []
        )
    return {name for name in names if isinstance(name, str)}


def _models_named(names: Iterable[Any]) -> list[Declaration[Any]]:
    """Models of installed packages that have one of these names.

    Raises:
        ModelError: one cannot be used.
    """
    texts = {name for name in names if isinstance(name, str) and NAME(name)}
    found = [plugins.find(name) for name in sorted(texts - Settings.model_fields.keys())]
    models = [model for model in found if model is not None]
    for model in models:
        if model.name in RESERVED | OF_THE_RECORD or hasattr(Settings, model.name):
            raise ModelError(f"the model {model.name}: its name means something in settings or in rules already")
    return models
