"""A Kafka and a Redis to try segflow with: on free ports of 127.0.0.1, empty, gone when you press Ctrl-C.

    python examples/servers.py

Needs Java 17, Maven for the one download of Kafka, and a Redis on the PATH or from PyPI. For real use run servers that
keep their data: see docs/operations.md.
"""

import sys
import threading

from segflow.embedded.broker import broker
from segflow.embedded.options import NothingToRunError
from segflow.embedded.redis_server import redis


def main() -> None:
    """Start both, say where they are, wait for Ctrl-C."""
    with broker(announce=print, required=True) as kafka_server, redis() as redis_server:
        print(f"{kafka_server.description} and {redis_server.description} are up until Ctrl-C. In another terminal:\n")
        print(f"export SEGFLOW_KAFKA={kafka_server.address}", flush=True)
        print(f"export SEGFLOW_REDIS={redis_server.url}", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("gone")


if __name__ == "__main__":
    try:
        main()
    except NothingToRunError as error:
        sys.exit(str(error))
