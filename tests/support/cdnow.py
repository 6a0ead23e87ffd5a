"""CDNOW's customers as columns, and the published sample of 2,357 of them."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from segflow.fitting.purchase_log import PurchaseLog
from segflow.schemas.event import EVENT, Purchase
from segflow.segments.instant import to_us

EVENTS = Path(__file__).parents[2] / "examples" / "cdnow.jsonl.gz"
CALIBRATION_END_US = 875_577_600_000_000  # 30 September 1997, 00:00 UTC: the last day of the published first half
END_US = 899_164_800_000_000  # 30 June 1998


def published_sample() -> frozenset[str]:
    """The customers of the sample. Which tenth of the master file it is follows no rule; lifetimes ships the list."""
    found = find_spec("lifetimes")
    assert found is not None
    assert found.origin is not None
    lines = (Path(found.origin).parent / "datasets" / "CDNOW_sample.txt").read_text(encoding="ascii").splitlines()
    return frozenset(line.split()[0] for line in lines)


def purchases(customers: frozenset[str] | None = None) -> PurchaseLog:
    """The purchases of some customers, of all without."""
    with gzip.open(EVENTS, "rt", encoding="utf-8") as file:
        events = [EVENT.validate_python(json.loads(line)) for line in file]
    kept = [
        each for each in events if isinstance(each, Purchase) and (customers is None or each.customer_id in customers)
    ]
    return PurchaseLog.of(
        [each.customer_id for each in kept],
        np.array([to_us(each.occurred_at) for each in kept]),
        np.array([float(each.amount) for each in kept]),
        np.ones(len(kept), dtype=np.bool_),
    )
