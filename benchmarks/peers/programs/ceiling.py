"""The ceiling as a peer: benchmarks/ceiling.py over the topic, with the sizes of what segflow stored and published.

Run as `python -m benchmarks.peers.programs.ceiling SETTINGS TRAFFIC`; it ends when all is read.
"""

import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks import ceiling
from segflow.schemas.settings_file import load

LIMIT_S: Final = 3600.0
"""Whoever started it ends it sooner."""

if __name__ == "__main__":
    traffic = msgspec.json.decode(sys.argv[2], type=ceiling.Traffic)
    ceiling.rate(load(Path(sys.argv[1])), LIMIT_S, traffic)
