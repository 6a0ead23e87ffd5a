"""The topics and folder of a program, from its environment (benchmarks/peers/peer.py sets it)."""

import os
from typing import Final

BROKER: Final = os.environ["PEER_BROKER"]
INPUT: Final = os.environ["PEER_INPUT"]
OUTPUT: Final = os.environ["PEER_OUTPUT"]
GROUP: Final = os.environ["PEER_GROUP"]
STATE: Final = os.environ["PEER_STATE"]
REDIS: Final = os.environ["PEER_REDIS"]
SESSION_S: Final = 8
"""After which a silent member of a group counts as dead: segflow's own, so that all are asked for the same."""
