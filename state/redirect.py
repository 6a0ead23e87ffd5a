"""An id that became another customer's: what stands in the place of its record."""

import struct
from typing import Final, NamedTuple

MARK: Final = b"\xff"
"""The first byte, where a record has its layout's number."""
_FIXED: Final = struct.Struct("<cqII")


class Redirect(NamedTuple):
    """The customer to whom an id's events go now, and what was published under the id before.

    The latter is as in an Erasure, which a redirect may become.
    """

    to: str  # the customer it became, who may have become another since
    published_us: int  # when its last changes are effective; UNKNOWN: nothing was held of it
    version: int  # its changes so far
    rules: int  # version of the rules then: of which dimensions changes of it were published

    def encode(self) -> bytes:
        """As stored: the mark, a 64-bit and two 32-bit numbers, little-endian, then the id."""
        return _FIXED.pack(MARK, self.published_us, self.version, self.rules) + self.to.encode()

    @classmethod
    def decode(cls, value: bytes) -> "Redirect":
        """A stored one."""
        _, published_us, version, rules = _FIXED.unpack_from(value)
        return cls(value[_FIXED.size :].decode(), published_us, version, rules)


def is_redirect(value: bytes | None) -> bool:
    """Whether what is stored of an id is that it became another."""
    return value is not None and value[:1] == MARK
