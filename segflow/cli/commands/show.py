"""segflow show: what is known of a customer, and what silence will bring."""

import json
from datetime import timedelta
from time import time_ns
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from segflow.cli.commands import lookups
from segflow.cli.options import SettingsFile, load
from segflow.engine.advance.forecast import forecast
from segflow.engine.encode.change_json import Encoder, Publication
from segflow.operations.customer_lookup import customer_of
from segflow.operations.printable import printable, printable_json
from segflow.schemas.settings import Settings
from segflow.segments.instant import NEVER, UNKNOWN, to_text
from segflow.state import lookup
from segflow.state.head import Head
from segflow.state.layout import LayoutError
from segflow.streams.control.topic import Control
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow show c42

Exit codes: 0 shown, 1 nothing is known of this customer, 2 usage, settings or connection."""


def command(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer_id.")],
    *,
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Show a customer's segments, since when, the facts behind them, and what silence will bring."""
    loaded = load(settings)
    try:
        partition, found = lookups.find(loaded, customer)
        shown = _describe(lookups.in_force(loaded), customer, partition, found)
    except (LayoutError, msgspec.MsgspecError) as error:
        raise UsageError(f"what Redis holds of {printable(customer)} cannot be read: {error}") from error
    if as_json:
        print(printable_json(json.dumps(shown, ensure_ascii=False)))
    else:
        Console(soft_wrap=True, highlight=False).print(_text(shown))


def _describe(control: Control, customer_id: str, partition: int, found: lookup.Found) -> dict[str, Any]:
    """The customer as JSON: the content of `segments.current` and what lies ahead."""
    settings = control.settings
    customers, rules = customer_of(control.rule_versions, customer_id, found.record)
    fixed = customers.fixed[0]
    looked = Publication(detected_us=time_ns() // 1000, position={}, live_from_us=NEVER)
    current = Encoder(settings.currency).current(customers, rules, looked)
    (message,) = current
    shown: dict[str, Any] = json.loads(message.value)
    del shown["updated_at"]  # of the record, where this is only a look
    row = customers.labels(rules.names)
    concluded_us = int(fixed["concluded_us"])
    ahead = forecast(rules, customers.facts(np.array([0], dtype=np.intp)), concluded_us, row)
    swept_us = _due_us(settings, found.head)
    return shown | {
        "partition": partition,
        "concluded_at": _time(concluded_us),
        "timer_at": _time(int(fixed["timer_us"])),
        "silence": [{"dimension": each.dimension, "label": each.label, "at": to_text(each.at_us)} for each in ahead],
        "overdue_s": (swept_us - ahead[0].at_us) / 1e6 if ahead and ahead[0].at_us <= swept_us else None,
        "clock": settings.clock,
        "clock_at": _time(found.head.clock_us) if found.head is not None else None,
    }


def _due_us(settings: Settings, head: Head | None) -> int:
    """Up to when deadlines should have been noticed."""
    clock_us = head.clock_us if head is not None else int(UNKNOWN)
    return max(clock_us, time_ns() // 1000) if settings.clock == "wall" else clock_us


def _time(time_us: int) -> str | None:
    return None if time_us in (NEVER, UNKNOWN) else to_text(time_us)


def _text(shown: dict[str, Any]) -> Text:
    """For a person."""
    facts = shown["facts"]
    text = Text()
    text.append(printable(shown["customer_id"]), style="bold")
    text.append(f"  shard {shown['partition']}, {shown['version']} changes so far")
    text.append(", control group\n" if shown["holdout"] else "\n")
    width = max(12, *(len(dimension) + 2 for dimension in shown["segments"]))
    for dimension, label in shown["segments"].items():
        text.append(f"  {dimension:<{width}}")
        text.append(f"{label or '-':<20}", style="bold cyan")
        text.append(f"since {shown['since'][dimension]}\n" if shown["since"][dimension] else "from the start\n")
    text.append(f"  orders that count: {facts['frequency']}, net {facts['monetary']} {shown['currency']}")
    if facts["first_purchase_at"]:
        text.append(f", first purchase {facts['first_purchase_at']}, latest {facts['last_purchase_at']}")
    text.append(
        "\nif nothing more happens:\n" if shown["silence"] else "\nnothing changes as long as nothing happens\n"
    )
    for change in shown["silence"]:
        text.append(f"  {change['at']}  {change['dimension']} becomes ")
        text.append(f"{change['label']}\n", style="bold")
    if shown["overdue_s"] is not None:
        late = timedelta(seconds=round(shown["overdue_s"]))
        text.append(
            f"overdue: the first was due {late} ago and is not noticed yet: the shard's worker is stopped or behind "
            f"(it has read up to {shown['clock_at']})\n",
            style="yellow",
        )
    text.rstrip()
    return text
