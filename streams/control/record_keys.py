"""Keys of control records. The topic is compacted, so that what stays needed has a key that no other record has."""

import secrets
from dataclasses import dataclass, field
from typing import Final

LASTING: Final = ("definition", "cuts", "parameters", "secret", "reshard")
"""Kinds of which every record stays needed: each but the secret is a version of the rules, which a head, a redirect, an
erasure or a customer's record may name for ever; of secrets the first one counts. A reshard says where its shards begin
in other topics."""
KEY_BYTES: Final = 8
"""Random: of a million records no two share a key, with a chance of 10^-8 that some do."""


def lasting(kind: str) -> bytes:
    """A key for a record that stays: no later record takes its place."""
    assert kind in LASTING
    return f"{kind}-{secrets.token_hex(KEY_BYTES)}".encode()


@dataclass(slots=True)
class LastingKeys:
    """The keys of the lasting records that were read: older versions of segflow gave all of a kind the same."""

    _seen: set[bytes] = field(default_factory=set)
    shared: bool = False  # some of them have one key: compaction would take all but the last

    def add(self, key: bytes | None, kind: str) -> None:
        """A record that was read."""
        if kind in LASTING:
            self.shared |= key is None or key in self._seen
            self._seen.add(key or b"")
