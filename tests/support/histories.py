"""Random histories for the property tests: a few customers, and times that meet each other and the thresholds."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from hypothesis import strategies as st

START = datetime(2024, 2, 20, tzinfo=UTC)  # just before a leap day
CUSTOMERS = ("c1", "c2", "ü3")
MERGING = ("a", "b", "c", "d", "e", "ü")
"""The customers of whom many become others."""
MICROSECOND = timedelta(microseconds=1)
# Days that meet the default thresholds of the models, ends of 28-day slots (23, 51, 79, 107) and half-lives among them,
# and a microsecond to either side of them.
DAYS = (0, 1, 10, 14, 23, 29, 30, 31, 51, 59, 60, 61, 79, 90, 107, 119, 120, 121, 180, 181, 239, 240, 241, 300, 420)
NUDGES = (-MICROSECOND, timedelta(0), timedelta(0), timedelta(0), MICROSECOND)

moments = st.builds(
    lambda day, nudge: START + timedelta(days=day) + nudge, st.sampled_from(DAYS), st.sampled_from(NUDGES)
)
# The same for the further models: whole half-lives (14 days) apart, and the starts of slots (23, 51, 79 ... of START).
VARIED_DAYS = (*DAYS[:8], 14, 28, 180, 181, 240, 420, *range(9, 200, 14))
# Absent, nothing, what rounds to nothing (half-even), and money.
discounts = st.sampled_from(
    [None, None, None, None, "0", "0.00", 0, "0.004", "0.005", "0.0051", "0.01", 5, 12.5, "100"]
)
# Of every weight by default; the last two are kinds without a weight of their own.
kinds = st.sampled_from(
    ["visit", "view", "search", "click", "open", "cart", "wishlist", "share", "review", "login", "Öl"]
)
amounts = st.sampled_from(
    ["0", "0.00", "0.005", "0.015", "49.99", "50", 99.99, "100.00", 249, "250", "1000", "1e3", "12345.678"]
)


# Invoices are paid before, at and after they are due, by a microsecond too.
DUE_DAYS = (0, 29, 60, 121)
PAID_AFTER = (timedelta(days=-7), timedelta(0), MICROSECOND, timedelta(days=7))

# What is told of a customer; an attribute may be of several kinds.
ATTRIBUTES: dict[str, tuple[Any, ...]] = {
    "risk_score": (0, 39.75, 40, 69.5, 70, 100, None),
    "age": (17, 18, 59, 60, "young", None),
    "country": ("DE", "FR", "Österreich", "", 49, None),
    "newsletter": (True, False, None, "yes"),
}


def varied_moments(finest: timedelta) -> st.SearchStrategy[datetime]:
    """Moments that meet all models' thresholds, that close to either side of them, and others within their second."""
    nudges = (-finest, finest, *[timedelta(0)] * 4, timedelta(seconds=-1), timedelta(seconds=0.3), timedelta(hours=7.1))
    return st.builds(
        lambda day, nudge: START + timedelta(days=day) + nudge, st.sampled_from(VARIED_DAYS), st.sampled_from(nudges)
    )


def written(moment: datetime) -> str:
    """RFC 3339, as a producer may write it."""
    return moment.isoformat().replace("+00:00", "Z")


@st.composite
def statements(draw: st.DrawFn, invoices: int = 4) -> dict[str, Any]:
    """What a payment says of one of some invoices: still open, or paid. It may be said otherwise another time."""
    due_at = START + timedelta(days=draw(st.sampled_from(DUE_DAYS)))
    paid_after = draw(st.none() | st.sampled_from(PAID_AFTER))
    return {
        "invoice_id": f"i{draw(st.integers(1, invoices))}",
        "due_at": written(due_at),
        "paid_at": None if paid_after is None else written(due_at + paid_after),
    }


@st.composite
def debts(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Payments of one customer about more invoices than are remembered, no two at one moment: those would be ties."""
    told = draw(st.lists(statements(invoices=30), min_size=20, max_size=60))
    return [
        {
            "type": "payment",
            "event_id": f"e{number}",
            "customer_id": "c1",
            "occurred_at": written(START + timedelta(days=draw(st.integers(0, 60)), seconds=number)),
            "amount": 5,
        }
        | statement
        for number, statement in enumerate(told)
    ]


@st.composite
def profiles(draw: st.DrawFn, told_at: str) -> dict[str, Any]:
    """Some attributes: at the same moment always the same values, so that their order is no matter.

    Numbers are such as a float holds exactly.
    """
    names = draw(st.lists(st.sampled_from(sorted(ATTRIBUTES)), max_size=3, unique=True))
    return {name: ATTRIBUTES[name][crc32(f"{name} {told_at}".encode()) % len(ATTRIBUTES[name])] for name in names}


@st.composite
def events(
    draw: st.DrawFn,
    times: st.SearchStrategy[datetime] = moments,
    *,
    varied: bool = False,
    erasing: bool = False,
    merging: bool = False,
) -> dict[str, Any]:
    """One valid event; ids are few, so that repeats come up. Some are `erasing` or `merging` only if asked for.

    `varied` events differ also in score, discount, kind and invoice, which lifecycle and rfm do not look at.
    """
    customers: tuple[str, ...] = CUSTOMERS
    types = ["purchase"] * 5 + ["refund"] * 2 + ["interaction", "feedback", "payment", "profile"]
    if varied:  # most for one customer, which is then also regular, core or sensitive at times
        customers = ("c1", "c1", *CUSTOMERS)
        types = (
            ["purchase"] * 6 + ["refund"] + ["interaction"] * 4 + ["feedback"] * 3 + ["payment"] * 3 + ["profile"] * 3
        )
    types += ["erase"] * erasing + ["alias"] * (3 * merging)
    kind = draw(st.sampled_from(types))
    event: dict[str, Any] = {
        "type": kind,
        "event_id": f"e{draw(st.integers(0, 60))}",
        "customer_id": draw(st.sampled_from(customers)),
        "occurred_at": written(draw(times)),
    }
    amount = draw(amounts)
    if kind == "purchase":
        event |= {"order_id": "o", "amount": amount}
        discount = draw(discounts) if varied else None
        event |= {} if discount is None else {"discount": discount}
    elif kind == "refund":
        order = f"o{draw(st.integers(0, 11))}"  # more than are remembered, few enough to be told twice
        event |= {"order_id": order, "amount": amount if str(amount).strip("0.") else "5", "full": draw(st.booleans())}
    elif kind == "interaction":
        event |= {"kind": draw(kinds) if varied else "visit"}
    elif kind == "feedback":
        event |= {"score": draw(st.integers(0, 10)) if varied else 7}
    elif kind == "payment":
        event |= {"invoice_id": "i", "due_at": event["occurred_at"], "amount": 5} | (
            draw(statements()) if varied else {}
        )
    elif kind == "alias":
        event |= {"previous_id": draw(st.sampled_from(CUSTOMERS))}
    elif kind == "profile":
        event |= {"attributes": draw(profiles(event["occurred_at"])) if varied else {"a": 1}}
    if draw(st.integers(0, 9)) == 0:
        event["source"] = "shop"
    return event


@st.composite
def histories(
    draw: st.DrawFn,
    most: int = 40,
    times: st.SearchStrategy[datetime] = moments,
    *,
    varied: bool = False,
    erasing: bool = False,
    merging: bool = False,
) -> list[dict[str, Any]]:
    """A log, in time order for the most part; `varied`, `erasing` and `merging` as for `events`."""
    least = draw(st.sampled_from([1, most // 3, most * 2 // 3])) if varied else 1
    log = draw(st.lists(events(times, varied=varied, erasing=erasing, merging=merging), min_size=least, max_size=most))
    if draw(st.booleans()):
        log.sort(key=lambda event: event["occurred_at"])
    return log


@st.composite
def merging_histories(
    draw: st.DrawFn, most: int = 24, *, erasing: bool = True, in_order: bool = False
) -> list[dict[str, Any]]:
    """Logs of a few customers, of whom many become others, in chains and cycles, and are erased."""
    log = []
    kinds = ["purchase"] * 4 + ["alias"] * 4 + ["interaction"] + ["erase"] * erasing
    for number in range(draw(st.integers(1, most))):
        kind = draw(st.sampled_from(kinds))
        repeated = draw(st.integers(0, 9)) == 0
        more: dict[str, Any] = {"previous_id": draw(st.sampled_from(MERGING))} if kind == "alias" else {}
        more |= {"kind": "visit"} if kind == "interaction" else {}
        more |= {"order_id": "o", "amount": draw(amounts)} if kind == "purchase" else {}
        body = {
            "type": kind,
            "event_id": f"e{draw(st.integers(0, number))}" if repeated else f"e{number}",
            "customer_id": draw(st.sampled_from(MERGING)),
            "occurred_at": written(draw(moments)),
        }
        log.append(body | more)
    if in_order or draw(st.booleans()):
        log.sort(key=lambda body: datetime.fromisoformat(body["occurred_at"]))
    return log
