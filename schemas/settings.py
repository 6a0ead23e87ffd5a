"""Settings: one YAML file, every field defaulted, nonsense refused with its path and the reason."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from schemas.currency import CODE, LIMIT_MAJOR
from schemas.duration import Duration, to_text
from schemas.expression.meaning import Condition
from schemas.rule_dimensions import Label, RuleDimension, attributes_of, checked, split


def _wait(span: timedelta) -> timedelta:
    if span <= timedelta(0):
        raise ValueError("must be above zero")
    return span


def _broker(address: str) -> str:
    if re.fullmatch(r"[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*", address) is None:
        raise ValueError("must be host:port such as 127.0.0.1:9092, several with commas")
    return address


def _redis_url(url: str) -> str:
    if re.fullmatch(r"(redis|rediss|unix)://\S+", url) is None:
        raise ValueError("must be a URL such as redis://127.0.0.1:6379/0, or rediss:// with TLS")
    return url


Dimension = Literal[
    "lifecycle", "rfm", "engagement", "price", "cadence", "satisfaction", "value", "churn", "clv", "payment"
]
FiveLabels = tuple[Label, Label, Label, Label, Label]
Money = Annotated[Decimal, Field(gt=-LIMIT_MAJOR, lt=LIMIT_MAJOR)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]  # strict: `true` is no count; nobody has 10^9 of anything
Wait = Annotated[Duration, AfterValidator(_wait)]
Share = Annotated[Decimal, Field(ge=0, le=1, decimal_places=4)]  # segments/share.py counts in ten-thousandths
Score = Annotated[int, Field(ge=1, le=10, strict=True)]
Weight = Annotated[float, Field(ge=0, le=10**6, strict=True)]  # nothing is a million visits
Threshold = Annotated[float, Field(gt=0, le=10**12, strict=True)]
Chance = Annotated[Decimal, Field(gt=0, lt=1, decimal_places=4)]
Parameter = Annotated[float, Field(ge=0.001, le=10**6, strict=True)]  # far beyond any population's, and no overflow
EventName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]  # what Kafka allows


class Section(BaseModel):
    """A part of the settings: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class KafkaTopics(Section):
    """The names of every topic segflow reads and writes."""

    purchases: Topic = "commerce.purchases"
    interactions: Topic = "commerce.interactions"
    changes: Topic = "segments.changes"
    current: Topic = "segments.current"
    alerts: Topic = "segments.alerts"
    dead_letters: Topic = "segments.dead-letters"
    journal: Topic = "segments.journal"
    control: Topic = "segments.control"
    handover: Topic = "segments.handover"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = list(self.model_dump().values())
        if len(set(names)) != len(names):
            raise ValueError("every topic needs a name of its own")
        return self


class Kafka(Section):
    """Where Kafka is and how to reach it."""

    address: Annotated[str, AfterValidator(_broker)] = Field(
        "127.0.0.1:9092", description="host:port, several with commas"
    )
    group: Annotated[str, StringConstraints(min_length=1)] = Field(
        "segflow", description="consumer group; also the prefix of the shards' transactional ids"
    )
    topics: KafkaTopics = KafkaTopics()
    partitioner: Literal["murmur2", "crc32"] = Field(
        "murmur2", description="how the producers of both inputs place keys: murmur2 (Java) or crc32 (librdkafka)"
    )
    tls: bool = False
    tls_ca: str | None = Field(None, description="file with the certificate authority; the system's without it")
    tls_certificate: str | None = Field(None, description="file with the client's certificate")
    tls_key: str | None = Field(None, description="file with the client's key")
    sasl: Literal["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "none"
    username: str | None = None
    password: SecretStr | None = None
    replication: Count = Field(1, description="replicas of the topics that `segflow topics --create` makes")

    @model_validator(mode="after")
    def _sasl_has_a_user(self) -> Self:
        if self.sasl != "none" and (self.username is None or self.password is None):
            raise ValueError(
                f"sasl {self.sasl} needs username and password (SEGFLOW_KAFKA_USERNAME, SEGFLOW_KAFKA_PASSWORD)"
            )
        return self


class Redis(Section):
    """Where Redis is and how to reach it."""

    url: Annotated[str, AfterValidator(_redis_url)] = Field(
        "redis://127.0.0.1:6379/0", description="redis:// or rediss:// (TLS)", repr=False
    )  # not in repr: a password may stand in it
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:_.-]{0,64}$")] = Field(
        "segflow", description="starts every key, so that two installations share a Redis"
    )
    username: str | None = Field(None, description="ACL user")
    password: SecretStr | None = None
    tls_ca: str | None = None
    timeout: Wait = Field(
        timedelta(seconds=3),
        description="for one round trip; well below the session timeout, as a commit waits for it",
    )


class Lifecycle(Section):
    """Thresholds of the lifecycle dimension."""

    at_risk_after: Duration = timedelta(days=60)
    churned_after: Duration = timedelta(days=180)
    loyal_orders: Count = 5
    reactivated_for: Duration = timedelta(days=30)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not timedelta(0) < self.at_risk_after < self.churned_after:
            raise ValueError("at_risk_after must be above zero and below churned_after")
        if self.reactivated_for <= timedelta(0):
            raise ValueError("reactivated_for must be above zero")
        return self


class FixedCuts(Section):
    """A value at or above a threshold has crossed it; four thresholds make five scores."""

    recency: tuple[Duration, Duration, Duration, Duration] = (
        timedelta(days=30),
        timedelta(days=60),
        timedelta(days=120),
        timedelta(days=240),
    )
    frequency: tuple[Count, Count, Count, Count] = (2, 3, 5, 10)
    monetary: tuple[Money, Money, Money, Money] = (Decimal(50), Decimal(100), Decimal(250), Decimal(1000))

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        for name in ("recency", "frequency", "monetary"):
            thresholds = list(getattr(self, name))
            if thresholds != sorted(set(thresholds)):
                raise ValueError(f"{name} must be four ascending thresholds")
        if self.recency[0] <= timedelta(0):
            raise ValueError("recency must be above zero")
        return self


GRID: Final[tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels]] = (
    ("new", "potential_loyalist", "potential_loyalist", "champion", "champion"),
    ("promising", "potential_loyalist", "potential_loyalist", "loyal", "loyal"),
    ("about_to_sleep", "about_to_sleep", "need_attention", "loyal", "loyal"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
    ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose"),
)


class Rfm(Section):
    """The RFM dimension: where its cut points come from, and the grid that names its cells."""

    cuts: Literal["fixed", "quantile"] = "fixed"
    fixed: FixedCuts = FixedCuts()
    window: Duration | None = Field(
        None,
        description="orders and money of so much of the past, in whole slots; null: of all of it. A fact setting",
    )
    grid: tuple[FiveLabels, FiveLabels, FiveLabels, FiveLabels, FiveLabels] = Field(
        GRID, description="rows R 5 to R 1, columns FM 1 to FM 5"
    )

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if any(label == "none" for row in self.grid for label in row):
            raise ValueError("grid must not use the label none: it is for customers without an order")
        return self


class FixedClasses(Section):
    """Net money from which on a customer is in a class of value; below both it is c."""

    a_from: Money = Decimal(1000)
    b_from: Money = Decimal(250)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.b_from >= self.a_from:
            raise ValueError("b_from must be below a_from")
        return self


class Value(Section):
    """The value dimension (ABC): whose money makes up most of all money."""

    cuts: Literal["share", "fixed"] = Field(
        "share", description="share: of the living customers' money, made anew on the schedule of `recut`"
    )
    a_up_to: Share = Field(Decimal("0.7"), description="share of all money that the most valuable bring together: a")
    b_up_to: Share = Field(Decimal("0.9"), description="share that those after them bring it to: b; the rest is c")
    fixed: FixedClasses = FixedClasses()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.a_up_to < self.b_up_to:
            raise ValueError("a_up_to must be above zero and below b_up_to")
        return self


class Recut(Section):
    """When cuts are made of the population: RFM's quintiles and value's shares."""

    every: Duration = Field(timedelta(days=1), description="event time between two re-cuts")
    min_population: Count = Field(
        500, description="with fewer living customers such cuts would be noise, and the fixed ones hold"
    )

    @model_validator(mode="after")
    def _not_all_the_time(self) -> Self:
        if self.every < timedelta(minutes=1):
            raise ValueError("every must be a minute or more: every re-cut looks at every customer")
        return self


WINDOW_SLOTS_MOST: Final = 40
"""Slots a window may have: three years of 28 days. It bounds a customer's record."""


class Price(Section):
    """The price dimension: the share of purchases that had a discount."""

    min_purchases: Count = Field(3, description="with fewer a customer is unknown; refunds aside")
    sensitive_from: Share = Field(Decimal("0.6"), description="share of purchases with a discount")
    full_price_up_to: Share = Field(Decimal("0.2"), description="share of purchases with a discount")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.full_price_up_to >= self.sensitive_from:
            raise ValueError("full_price_up_to must be below sensitive_from")
        return self


class Cadence(Section):
    """The cadence dimension: in how many of the latest 28-day slots something was bought."""

    regular_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(4, description="slots with a purchase")
    of_slots: Annotated[int, Field(ge=1, le=64, strict=True)] = Field(
        6, description="of so many of the latest slots, the present one included; 64 are remembered"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.regular_slots > self.of_slots:
            raise ValueError("regular_slots must not be above of_slots")
        return self


class Satisfaction(Section):
    """The satisfaction dimension: the score of the latest feedback."""

    promoter_from: Score = 9
    passive_from: Score = 7
    unknown_after: Wait = Field(timedelta(days=180), description="an older feedback says nothing any more")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.passive_from >= self.promoter_from:
            raise ValueError("passive_from must be below promoter_from")
        return self


class Payment(Section):
    """The payment dimension: open invoices, and the share of late ones among the settled."""

    slow_above: Share = Field(
        Decimal("0.3"), description="share of settled invoices that were paid after they were due"
    )


WEIGHTS: Final[dict[str, float]] = {
    "visit": 1.0,
    "view": 1.0,
    "search": 1.0,
    "click": 1.0,
    "open": 0.5,
    "cart": 3.0,
    "wishlist": 3.0,
    "share": 4.0,
    "review": 5.0,
    "purchase": 10.0,
}


class Engagement(Section):
    """The engagement dimension: weights of interactions and purchases, halved with each half-life."""

    core_from: Threshold = 20.0
    active_from: Threshold = 5.0
    visitor_from: Threshold = 0.5
    half_life: Duration = Field(
        timedelta(days=14), description="a fact setting: it is in what is remembered, and cannot change afterwards"
    )
    weights: dict[EventName, Weight] = Field(
        WEIGHTS, description="by an interaction's kind, and of a purchase; a fact setting"
    )
    other_weight: Weight = Field(1.0, description="of kinds that have no weight of their own; a fact setting")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.visitor_from < self.active_from < self.core_from:
            raise ValueError("visitor_from must be below active_from, and that below core_from")
        if self.half_life < timedelta(seconds=1):
            raise ValueError("half_life must be a second or more")
        return self


class Strategy(Section):
    """What the business does about a label."""

    name: Label
    priority: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(1, description="1 first")


class Alerts(Section):
    """Which changes are alerts: copied into a topic of their own, with the money at stake."""

    into: dict[Label, tuple[Label, ...]] = Field(
        {"lifecycle": ("at_risk",), "churn": ("high",), "rfm": ("cant_lose",)},
        description="by dimension, the labels into which a change is an alert; of dimensions that are off none is",
    )
    value: tuple[Literal["a", "b", "c", "none"], ...] = Field(
        ("a", "b"), description="only customers of these classes, where the dimension value is on; []: all customers"
    )
    last_12_months: Annotated[bool, Field(strict=True)] = Field(
        False,
        description="remember money by slots, so that alerts tell that of the last twelve months, also where "
        "rfm.window is shorter or null: 16 bytes a slot with a purchase. A fact setting",
    )


class Erase(Section):
    """What stays of a customer who was erased, and for how long."""

    remembered_for: Wait = Field(
        timedelta(days=730),
        description="event time for which a keyed hash of the id keeps older events out; as long as inputs are kept",
    )


class ChurnThresholds(Section):
    """From which chance to be still a customer on the risk is low, medium, high; below it the customer is lost."""

    low_from: Chance = Decimal("0.7")
    medium_from: Chance = Decimal("0.4")
    high_from: Chance = Decimal("0.1")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.high_from < self.medium_from < self.low_from:
            raise ValueError("high_from must be below medium_from, and that below low_from")
        return self


class Churn(ChurnThresholds):
    """The churn dimension: the chance to be still a customer, by each customer's own rhythm of buying."""

    one_time: ChurnThresholds | None = Field(
        None, description="of customers of a single purchase day, who are a special case; null: as above"
    )


class ClvCuts(Section):
    """What a customer is worth from a class on, in `currency`."""

    high_from: Money = Decimal(100)
    medium_from: Money = Decimal(25)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 < self.medium_from < self.high_from:
            raise ValueError("medium_from must be above zero and below high_from")
        return self


class Clv(Section):
    """The clv dimension: what a customer is still worth, expected purchases times expected money."""

    horizon: Wait = Field(timedelta(weeks=26), description="how far ahead purchases are counted")
    cuts: Literal["fixed", "terciles"] = Field(
        "fixed", description="terciles: of the living, made anew as `recut` says"
    )
    fixed: ClvCuts = ClvCuts()


class MbgNbd(Section):
    """Parameters of the MBG/NBD model: how often customers buy, and how they are lost."""

    r: Parameter = 0.525
    alpha_weeks: Parameter = 6.183
    a: Parameter = 0.891
    b: Parameter = 1.614


class GammaGamma(Section):
    """Parameters of the Gamma-Gamma model: what a purchase of a customer brings."""

    p: Parameter = 6.25
    q: Annotated[float, Field(gt=1, le=10**6, strict=True)] = Field(3.74, description="at 1 money has no mean")
    gamma: Parameter = Field(15.45, description="in major units of `currency`")


class Parameters(Section):
    """Parameters of the purchase models, which `segflow fit` finds; CDNOW's customers by default."""

    mbg_nbd: MbgNbd = MbgNbd()
    gamma_gamma: GammaGamma = GammaGamma()


class Worker(Section):
    """Bounds and waits of one worker process."""

    guarantee: Literal["exactly_once", "at_least_once"] = Field(
        "exactly_once",
        description="at_least_once: no Kafka transactions, for brokers that have none; a crash may repeat",
    )
    batch_max_records: Annotated[int, Field(ge=1, le=100_000)] = Field(
        8192, description="records of one commit: enough to spread its cost, few enough to stay under half a second"
    )
    sweep_max_customers: Annotated[int, Field(ge=1, le=100_000)] = Field(
        500, description="due customers of one commit, so that a wave never holds live events up for long"
    )
    linger: Duration = Field(timedelta(milliseconds=5), description="pause after a commit, unless a batch is full")
    sweep_every: Wait = Field(timedelta(milliseconds=100), description="how often a quiet shard looks for due timers")
    merge_wait: Duration = Field(
        timedelta(seconds=5), description="how long one input may keep the other waiting while it is behind"
    )
    grace: Duration = Field(timedelta(milliseconds=500), description="how far the wall clock's sweep stays behind")
    record_max_bytes: Annotated[int, Field(ge=256)] = Field(65_536, description="larger records are dead letters")
    future_max: Duration = Field(
        timedelta(minutes=5), description="an event further ahead of the worker's clock is a dead letter"
    )
    backfill_after: Duration = Field(
        timedelta(hours=1), description="a batch whose events are older than this is history: mode backfill"
    )
    transaction_timeout: Wait = Field(
        timedelta(seconds=10), description="after which the broker ends a dead worker's transaction"
    )
    session_timeout: Wait = Field(timedelta(seconds=8), description="silence after which a worker counts as dead")
    watchdog_after: Wait = Field(
        timedelta(seconds=60), description="a worker that reads nothing for so long while there is something is ended"
    )
    http_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] = Field(
        "127.0.0.1", description="address on which health and metrics are served; 0.0.0.0: on all, to anybody"
    )
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(0, description="of health and metrics; 0: none")


def _or_mapping(schema: dict[str, Any]) -> None:
    """`dimensions` may be written as a mapping, too."""
    listed = {name: schema.pop(name) for name in ("items", "minItems", "type")}
    rules = {"type": ["object", "null"], "description": "as in `rule_dimensions`; null: built in"}
    schema["anyOf"] = [listed, {"type": "object", "additionalProperties": rules}]


class Settings(Section):
    """segflow.yaml."""

    kafka: Kafka = Kafka()
    redis: Redis = Redis()
    clock: Literal["wall", "event"] = Field(
        "wall", description="wall: silence is noticed as time passes; event: only events move time (history)"
    )
    currency: Annotated[str, StringConstraints(pattern=CODE)] = "EUR"
    rates: dict[Annotated[str, StringConstraints(pattern=CODE)], Annotated[Decimal, Field(gt=0, lt=10**9)]] = Field(
        {}, description="units of `currency` for one unit of another"
    )
    dimensions: tuple[Dimension | Label, ...] = Field(
        ("lifecycle", "rfm"),
        min_length=1,
        description="names, in the order of their changes; or a mapping of names to rules (null for what is built in)",
        json_schema_extra=_or_mapping,
    )
    rule_dimensions: dict[Label, RuleDimension] = Field(
        {}, description="the rules of dimensions that `dimensions` lists by name only"
    )
    lifecycle: Lifecycle = Lifecycle()
    rfm: Rfm = Rfm()
    slot: Duration = Field(
        timedelta(days=28),
        description="length of the slots, from 1970 on, that cadence and rfm.window count by: a fact setting",
    )
    engagement: Engagement = Engagement()
    price: Price = Price()
    cadence: Cadence = Cadence()
    satisfaction: Satisfaction = Satisfaction()
    value: Value = Value()
    recut: Recut = Recut()
    churn: Churn = Churn()
    clv: Clv = Clv()
    parameters: Parameters = Parameters()
    payment: Payment = Payment()
    strategies: dict[Label, dict[Label, Strategy]] = Field(
        {}, description="by dimension and label; copied into each change into that label"
    )
    alerts: Alerts = Alerts()
    holdout_share: Annotated[float, Field(ge=0, le=1, strict=True)] = Field(
        0.0, description="share of customers in the control group"
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
        names, rules = split(content["dimensions"])
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
            if name not in get_args(Dimension) and name not in self.rule_dimensions:
                raise ValueError(
                    f"dimensions.{name}: is no dimension and has no rules; there are {', '.join(get_args(Dimension))}"
                )
        for name in self.rule_dimensions:
            if name not in self.dimensions:
                raise ValueError(f"rule_dimensions.{name}: `dimensions` does not list it")
        self.conditions()
        if self.currency in self.rates:
            raise ValueError(f"rates must not have {self.currency}: it is the currency itself")
        return self

    def conditions(self) -> dict[str, tuple[tuple[str, Condition], ...]]:
        """Label and condition of each rule, by rule dimension."""
        grid_labels = {label for row in self.rfm.grid for label in row}
        return checked(self.dimensions, self.rule_dimensions, grid_labels)

    def attributes(self) -> tuple[str, ...]:
        """The attributes that rules look at: a fact setting, as only these are remembered."""
        return attributes_of(self.conditions())
