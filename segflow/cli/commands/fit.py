"""segflow fit: the parameters of the purchase models, found in the population."""

import json
import sys
from contextlib import closing
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import yaml
from pydantic import TypeAdapter, ValidationError
from rich import box
from rich.console import Console
from rich.table import Table

from segflow.cli.options import SettingsFile, load, replaced, time_option
from segflow.fitting.fit import Fit, fit
from segflow.fitting.held_out import HELD_OUT_DAYS
from segflow.fitting.sample import FitError
from segflow.operations.line_files import LineFiles
from segflow.operations.populations import kept, purchase_log
from segflow.schemas.duration import Duration
from segflow.schemas.settings import Settings
from segflow.segments.instant import UNKNOWN, duration_us, to_text
from segflow.segments.mbg_nbd import WEEK_US
from segflow.segments.parameters import Parameters
from segflow.segments.rules import parameters_of
from segflow.state import lookup, redis_connection
from segflow.state.layout import LayoutError
from segflow.streams.control.definitions import FITTED
from segflow.streams.control.messages import parameters_message
from segflow.streams.control.topic import Control
from segflow.streams.runtime.connections import address, kafka_errors, redis_errors
from segflow.streams.runtime.errors import UsageError

EPILOG: Final = """\b
Examples:
  segflow fit history.jsonl.gz --held-out 180d --output parameters.yaml
  segflow fit --dry-run

Exit codes: 0 fitted, 1 the customers give no parameters, 2 usage, settings or connection."""
DIGITS: Final = 6
"""Significant digits of a parameter: beyond what any population tells."""
HELD_OUT_SHARE: Final = 4
"""Without --held-out a quarter of the log is."""


def command(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...", help="JSON Lines, gzip too; - is standard input. Without any: the customers in Redis."
        ),
    ] = None,
    *,
    settings: SettingsFile = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Of files: only what came up to this RFC 3339 time; else up to the latest."),
    ] = None,
    held_out: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Of files: how much of the end is foretold, as in 90d; else a quarter."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the parameters go, as YAML for the settings; else standard output."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Of the customers in Redis: write no new version for the workers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as a JSON object.")] = False,
) -> None:
    """Find the parameters of how your customers buy (MBG/NBD) and what a purchase brings (Gamma-Gamma).

    By maximum likelihood. Shows how well a fit to all but the latest weeks foretells those. From files it gives YAML to
    put into the settings; from Redis it writes a new version, which all shards adopt as they do re-cuts (cause: recut).
    """
    loaded = load(settings)
    try:
        if files:
            found, at_us = _from_files(loaded, files, time_option("--until", until), held_out)
            version = None
        elif until is not None or held_out is not None:
            raise UsageError("--until and --held-out go with files: Redis knows the customers as they are now")
        else:
            found, at_us, version = _from_redis(loaded, dry_run=dry_run)
    except FitError as error:
        sys.stderr.write(f"segflow: no fit: {error}\n")
        raise typer.Exit(1) from error
    text = yaml.safe_dump({"parameters": _rounded(found.parameters)}, sort_keys=False)
    if output is not None:
        with replaced(output) as file:
            file.write(text.encode())
    if as_json:
        print(json.dumps(_as_json(found, at_us, version)))
        return
    is_yaml_printed = version is None and output is None
    _print(found, at_us, beside=is_yaml_printed)
    if version is not None:
        print(f"written to {loaded.kafka.topics.control} as version {version}; all shards adopt it")
    elif is_yaml_printed:
        print(text, end="")


def _from_files(settings: Settings, files: list[str], until_us: int, held_out: str | None) -> tuple[Fit, int]:
    """The fit, and the time it sees the population at."""
    log = purchase_log(settings, LineFiles(files))
    end_us = int(log.times_us.max()) if until_us == UNKNOWN else until_us
    first_us = int(log.times_us.min())
    span_us = duration_us(_duration(held_out)) if held_out is not None else (end_us - first_us) // HELD_OUT_SHARE
    if not 0 <= span_us < max(end_us - first_us, 1):
        raise UsageError(f"--held-out must be shorter than the log, which begins at {to_text(first_us)}")
    population, before = log.at(end_us), log.at(end_us - span_us)
    later_days = log.days_between(end_us - span_us, end_us)[before.rows]
    held = parameters_of(settings.parameters).gamma_gamma
    return fit(population.sample, held, before.sample, later_days, span_us / WEEK_US), end_us


def _from_redis(settings: Settings, *, dry_run: bool) -> tuple[Fit, int, int | None]:
    """The fit, the time it sees the population at, and the version that was written."""
    if not FITTED & set(settings.dimensions):
        raise UsageError(
            f"days of purchases are kept only where the settings list {' or '.join(sorted(FITTED))} in dimensions: do "
            "so, or fit to a file of events"
        )
    with (
        kafka_errors(settings.kafka),
        redis_errors(settings.redis),
        closing(redis_connection.servers(settings.redis)) as servers,
    ):
        installation = lookup.installation(servers, settings.redis.prefix)
        if installation is None:
            raise UsageError(
                f"no worker has run yet on Redis at {address(settings.redis)} with redis.prefix {settings.redis.prefix}"
            )
        control = Control(settings)
        if not control.read():
            raise UsageError(f"{settings.kafka.topics.control} has no definition yet: let a worker run first")
        try:
            population = kept(settings, servers, installation.partitions)
        except (LayoutError, msgspec.MsgspecError) as error:
            raise UsageError(f"what Redis holds cannot be read: {error}") from error
        past = population.held_out
        held = control.rule_versions.latest.cuts.parameters.gamma_gamma
        found = fit(population.sample, held, past.before, past.later_days, HELD_OUT_DAYS / 7)
        if dry_run:
            return found, population.at_us, None
        control.publish(parameters_message(found.parameters, population.at_us, found.customers))
        control.read()
        return found, population.at_us, control.rule_versions.latest.version


def _duration(text: str) -> timedelta:
    try:
        return TypeAdapter(Duration).validate_python(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--held-out: {reason}") from error


def _rounded(parameters: Parameters) -> dict[str, dict[str, float]]:
    """As the settings have them."""
    return {
        model: {name: float(f"{value:.{DIGITS}g}") for name, value in values.items()}
        for model, values in asdict(parameters).items()
    }


def _as_json(found: Fit, at_us: int, version: int | None) -> dict[str, Any]:
    content = asdict(found) | {"at": to_text(at_us), "version": version}
    return content | {"parameters": _rounded(found.parameters)}


def _print(found: Fit, at_us: int, *, beside: bool) -> None:
    """Show the fit; `beside`: on standard error, so that standard output is YAML alone."""
    console = Console(highlight=False, soft_wrap=True, stderr=beside)
    console.print(
        f"{found.customers:,} customers up to {to_text(at_us)}, "
        f"{found.repeaters:,} of them with purchases on more than one day"
    )
    models = asdict(found.parameters)
    likelihoods = {"mbg_nbd": found.mbg_nbd_log_likelihood, "gamma_gamma": found.gamma_gamma_log_likelihood}
    for model, title in (("mbg_nbd", "MBG/NBD"), ("gamma_gamma", f"Gamma-Gamma, {found.paying:,} customers")):
        if likelihoods[model] is None:
            continue
        values = ", ".join(f"{name} {value:.4g}" for name, value in models[model].items())
        console.print(f"{title}: {values}; log-likelihood {likelihoods[model]:,.1f}")
    for note in found.notes:
        console.print(note)
    if found.calibration:
        console.print(
            f"days of purchases a customer in the latest {found.held_out_weeks:.1f} weeks, foretold by those before:"
        )
        table = Table(box=box.SIMPLE)
        for title in ("repeats before", "customers", "predicted", "actual"):
            table.add_column(title, justify="right")
        for row in found.calibration:
            table.add_row(row.repeats, f"{row.customers:,}", f"{row.predicted:.3f}", f"{row.actual:.3f}")
        console.print(table)
