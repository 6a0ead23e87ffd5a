"""`python -m tests.soak`: inject faults for a while, then hold all that came out against the oracle."""

import json
import logging
import secrets
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from random import Random
from subprocess import run
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import numpy as np
import typer

from segflow.embedded.redis_server import RedisServer
from segflow.embedded.server_process import started
from tests.faults.installation import Installation
from tests.faults.outcome import Outcome, outcome_of
from tests.faults.stream import Stream
from tests.soak.faults import Faults
from tests.soak.growth import grow
from tests.soak.lights import Lights
from tests.soak.observer import Observer
from tests.soak.workers import Workers
from tests.support.health import Health
from tests.support.proxied_kafka import ProxiedKafka
from tests.support.proxy import Proxy

PARTITIONS: Final = 6
WORKERS: Final = 3
CUSTOMERS: Final = 2000
HISTORY_HOURS: Final = 15_000
"""Event time that the whole stream spans: deadlines of two months come up, and none of it lies in the future."""
WORKER: Final = {"session_timeout": "2s", "transaction_timeout": "5s", "linger": "100ms", "merge_wait": "1s"}
"""Short silences, as there are many; fewer and larger commits, as two processors carry three workers and Kafka."""
RECOVERY_S: Final = 120.0
"""A shard that has not moved by then is stuck, and the soak has failed."""
WARM_S: Final = 120.0
"""The steady worker's memory is looked at from here on: before, caches fill."""
BREATH_S: Final = (0.5, 3.0)
"""Between two faults."""


def main(
    minutes: Annotated[float, typer.Option(min=0.1)] = 60,
    seed: Annotated[int, typer.Option(help="0: a random one.")] = 0,
    rate: Annotated[float, typer.Option(help="Records a second.")] = 150,
    output: Path = Path("soak.json"),
) -> None:
    """Inject every known fault into a running installation.

    Exit code 1 where anything was lost, repeated or stuck, or where a kind of fault has fired too seldom.
    """
    logging.disable(logging.CRITICAL)  # the tests' own clients complain of what is done on purpose
    chosen = seed or secrets.randbelow(2**31)
    say(f"SEED={chosen} MINUTES={minutes:g}")
    with ExitStack() as stack:
        result = soak(stack, chosen, minutes * 60, rate)
    text = json.dumps(result, indent=2)
    output.write_text(text + "\n", encoding="utf-8")
    say(text)
    sys.exit(0 if result["right"] else 1)


def say(text: str) -> None:
    """A line for whoever is watching."""
    print(text, flush=True)  # noqa: T201 - this is a program


def soak(stack: ExitStack, seed: int, duration_s: float, rate: float) -> dict[str, Any]:
    """The whole of it; what came out, for the result file."""
    random = Random(seed)
    folder = Path(stack.enter_context(TemporaryDirectory()))
    kafka_wire = stack.enter_context(Proxy(0))
    kafka = stack.enter_context(closing(started(ProxiedKafka(kafka_wire, memory_mb=1024))))
    redis = started(RedisServer())
    redis_wire = stack.enter_context(Proxy(redis.ports[0]))
    installed = Installation(
        folder,
        direct=kafka.address,
        address=kafka.proxied_address,
        redis=f"redis://127.0.0.1:{redis_wire.port}/0",
        redis_timeout="2s",
        prefix="soak-",
        partitions=PARTITIONS,
        content={"worker": WORKER | {"batch_max_records": 8192}},
    )
    stream = Stream(seed, CUSTOMERS, step_hours=2 * HISTORY_HOURS / max(1.0, duration_s * rate))
    workers = Workers(installed, random, WORKERS)
    faults = Faults(installed, kafka, redis, redis_wire, workers, random, duration_s / 60)
    stack.callback(faults.close)
    recoveries: dict[str, float] = {}
    with Observer(installed) as observer:
        with installed.flowing(stream, rate), Lights(observer, workers.ports) as lights:
            wait_for_all(observer, workers)
            began = time.monotonic()
            while (elapsed_s := time.monotonic() - began) < duration_s:
                before = time.monotonic()
                name = faults.once(elapsed_s / duration_s)
                recovery_s = wait_for_all(observer, workers)
                recoveries[name] = max(recoveries.get(name, 0.0), recovery_s)
                took_s = time.monotonic() - before
                say(f"{elapsed_s:6.0f} s  {name}: {took_s:.1f} s, all moving after {recovery_s:.1f} s")
                time.sleep(random.uniform(*BREATH_S))
        workers.look_after()
        say("the faults are over; comparing")
        installed.settles()
        found = outcome_of(installed)
        audit = audited(installed)
        say("partitions are added")
        growth = grow(installed, [Health(port) for port in workers.ports], stream)
        workers.end()
    result = report(seed, duration_s, found, workers, faults, recoveries)
    result |= {"false_greens": lights.false_greens, "audit": audit, "partitions_added": growth}
    wrong = result["too_few"] or result["false_greens"] or audit["exit_code"] or not growth["right"]
    return result | {"right": found.right and not wrong}


def wait_for_all(observer: Observer, workers: Workers) -> float:
    """Wait until every shard has moved again; how long that took, in seconds.

    Raises:
        TimeoutError: a shard is stuck.
    """
    since_s, before = time.monotonic(), observer.commits.copy()
    while not observer.all_moved_since(before):
        workers.look_after()
        if time.monotonic() - since_s > RECOVERY_S:
            logs = [each.said()[-3000:] for each in (workers.steady, *workers.others)]
            raise TimeoutError("a shard is stuck: " + "\n---\n".join([str(observer.commits), *logs]))
        time.sleep(0.05)
    return time.monotonic() - since_s


def report(
    seed: int, duration_s: float, found: Outcome, workers: Workers, faults: Faults, recoveries: dict[str, float]
) -> dict[str, Any]:
    """The figures."""
    slowest = max(recoveries, key=lambda name: recoveries[name], default="")
    return {
        "seed": seed,
        "minutes": round(duration_s / 60, 1),
        "too_few": faults.too_few(),
        "faults": dict(faults.fired.most_common()),
        "faults_in_all": faults.fired.total(),
        "kills": workers.kills,
        "kills_at_failpoints": dict(workers.at_points.most_common()),
        "events": found.events,
        "commits": found.commits,
        "changes": found.changes,
        "dead_letters": found.dead_letters,
        "lost": len(found.lost),
        "repeated": len(found.repeated),
        "wrong": found.wrong[:20],
        "ended_by_themselves": workers.failures,
        "slowest_recovery_s": round(max(recoveries.values(), default=0.0), 1),
        "slowest_recovery_after": slowest,
        "slowest_recovery_by_fault_s": {name: round(recoveries[name], 1) for name in sorted(recoveries)},
        "memory_slope_mb_per_hour": slope_mb_per_hour(workers.memory),
        "memory_last_mb": round(workers.memory[-1][1] / 2**20, 1) if workers.memory else None,
    }


def slope_mb_per_hour(samples: list[tuple[float, int]]) -> float | None:
    """The steady worker's growth, by least squares; None where it was not watched for long enough."""
    warm = [(at_s, size) for at_s, size in samples if at_s - samples[0][0] > WARM_S]
    if len(warm) < 10:
        return None
    at_s, sizes = np.array(warm, dtype=np.float64).T
    return round(float(np.polyfit(at_s - at_s[0], sizes, 1)[0]) * 3600 / 2**20, 2)


def audited(installed: Installation) -> dict[str, Any]:
    """The answer of `segflow audit`."""
    command = [sys.executable, "-m", "segflow", "audit", "--settings", str(installed.file), "--json"]
    done = run(command, capture_output=True, check=False)
    return {"exit_code": done.returncode, "says": done.stdout.decode() or done.stderr.decode()}


if __name__ == "__main__":
    typer.run(main)
