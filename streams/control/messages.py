"""Cuts and fitted parameters as records of the control topic."""

import json
from dataclasses import asdict

from segflow.engine.columns.messages import Message
from segflow.segments.cuts import Cuts
from segflow.segments.parameters import Parameters
from segflow.streams.control.record_keys import lasting


def cuts_message(cuts: Cuts, at_us: int, population: int, *, moved: bool) -> Message:
    """A re-cut as a control record.

    Where the cuts `moved`, the record's offset is their version; else it only says that the boundary is done with.
    """
    value = {
        "kind": "cuts" if moved else "cuts-kept",
        "at_us": at_us,
        "population": population,
        "recency_us": cuts.recency_us,
        "recency_from_us": cuts.recency_from_us,
        "frequency": cuts.frequency,
        "monetary_minor": cuts.monetary_minor,
        "value_minor": cuts.value_minor,
        "clv_minor": cuts.clv_minor,
        "window_at_us": cuts.window_at_us,
        "clv_at_us": cuts.clv_at_us,
    }
    return Message(key=lasting("cuts") if moved else b"cuts-kept", value=json.dumps(value).encode(), headers=[])


def parameters_message(parameters: Parameters, at_us: int, customers: int) -> Message:
    """Fitted parameters as a control record, whose offset is their version; from `customers` as `at_us` saw them."""
    value = {"kind": "parameters", "at_us": at_us, "customers": customers} | asdict(parameters)
    return Message(key=lasting("parameters"), value=json.dumps(value).encode(), headers=[])
