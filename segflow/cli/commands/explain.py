"""segflow explain: why a customer is what they are."""

import json
from dataclasses import asdict
from time import time_ns
from typing import Annotated, Final

import msgspec
import typer

from segflow.cli.commands import lookups
from segflow.cli.options import SettingsFile, load
from segflow.operations.customer_lookup import customer_of
from segflow.operations.explanation import explanations
from segflow.operations.printable import printable, printable_json
from segflow.segments.instant import UNKNOWN
from segflow.state.layout import LayoutError
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Example:
  segflow explain c42 --dimension rfm

Exit codes: 0 explained, 1 nothing is known of this customer, 2 usage, settings or connection."""


def command(
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer_id.")],
    *,
    settings: SettingsFile = None,
    dimension: Annotated[str | None, typer.Option(metavar="D", help="Only this dimension.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON.")] = False,
) -> None:
    """Say why a customer has their labels: facts, thresholds and arithmetic, and the date of the next label."""
    loaded = load(settings)
    try:
        _, found = lookups.find(loaded, customer)
        control = lookups.in_force(loaded)
        customers, rules = customer_of(control.rule_versions, customer, found.record)
    except (LayoutError, msgspec.MsgspecError) as error:
        raise UsageError(f"what Redis holds of {printable(customer)} cannot be read: {error}") from error
    if dimension is not None and dimension not in rules.names:
        raise UsageError(f"--dimension {dimension}: the dimensions are {', '.join(rules.names)}")
    clock_us = UNKNOWN if found.head is None else found.head.clock_us
    now_us = max(clock_us, time_ns() // 1000) if loaded.clock == "wall" else clock_us
    chosen = [
        each
        for each in explanations(customers, rules, control.settings.currency, int(now_us))
        if dimension in (None, each.dimension)
    ]
    if as_json:
        content = {"customer_id": customer, "dimensions": [asdict(each) for each in chosen]}
        print(printable_json(json.dumps(content, ensure_ascii=False)))
        return
    for each in chosen:
        print(f"{each.dimension}: {each.label or '-'} (on {each.at})")
        for line in each.because:
            print(f"  {line}")
        if each.next_at is None:
            print("  As long as nothing happens it stays so.")
        else:
            print(f"  If nothing happens it is {each.next_label} from {each.next_at} on.")
