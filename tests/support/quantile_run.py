"""A run over a file whose cuts are quantiles of its population, made every month."""

import json
from datetime import timedelta
from typing import Any

from segflow.engine.file_run import FileRun
from segflow.schemas.settings import Recut, Settings
from segflow.segments.models.rfm import Rfm
from tests.support.agreement import parsed

EVERY = timedelta(days=30)
RECUT = Recut(min_population=50, every=EVERY)
SETTINGS = Settings(rfm=Rfm(cuts="quantile"), recut=RECUT)


def run(
    log: list[dict[str, Any]], batch: int, shards: int = 1, settings: Settings = SETTINGS
) -> tuple[FileRun, list[dict[str, Any]]]:
    """The run of `log` in batches, swept in the end, and its changes."""
    file_run = FileRun(settings, shards=shards)
    values: list[bytes] = []
    for start in range(0, len(log), batch):
        lines = [json.dumps(event).encode() for event in log[start : start + batch]]
        values += [each.value for result in file_run.feed(lines, start + 1) for each in result.changes]
    values += [each.value for result in file_run.finish() for each in result.changes]
    return file_run, parsed(values)
