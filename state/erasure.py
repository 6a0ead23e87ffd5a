"""The rest of a customer who was erased: enough to keep older events out and to go on counting, and no id."""

import struct
from hashlib import blake2b
from typing import Final, NamedTuple

_LAYOUT: Final = struct.Struct("<qqII")
PSEUDONYM_BYTES: Final = 16
"""128 bits: two of a thousand million customers share one with a chance of 10^-21."""


class Erasure(NamedTuple):
    """One customer's; stored under the pseudonym."""

    at_us: int  # `occurred_at` of the erase: what comes later and happened before stays out
    published_us: int  # when the receipts are effective; UNKNOWN: nothing was held, so there were none
    version: int  # the customer's changes so far, receipts included
    rules: int  # version of the rules at the receipts: of which dimensions there is one

    def encode(self) -> bytes:
        """As stored: two 64-bit and two 32-bit numbers, little-endian."""
        return _LAYOUT.pack(*self)

    @classmethod
    def decode(cls, value: bytes) -> "Erasure":
        """A stored one."""
        return cls(*_LAYOUT.unpack(value))


def pseudonym(secret: bytes, customer_id: str) -> bytes:
    """A keyed hash of the id: without the secret, nobody can try whose it is."""
    return blake2b(customer_id.encode(), key=secret, digest_size=PSEUDONYM_BYTES).digest()
