"""The comparison of two runs over one history, change for change, by digests."""

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec

MAY_DIFFER: Final = frozenset({"detected_at", "position", "mode"})
"""Fields in which two runs may differ: when and where a change was found (docs/contract.md#changes-out)."""
DIGEST_BYTES: Final = 16
"""128 bits: no two of a trillion changes collide."""


@dataclass(slots=True)
class ChangeDigest:
    """The changes of one run: a digest of each, by customer, in order. Whole changes would fill memory."""

    changes: int = 0
    digests: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    _encoder: msgspec.json.Encoder = field(default_factory=lambda: msgspec.json.Encoder(order="sorted"))

    def add(self, change: dict[str, Any]) -> None:
        """Add the next change. The order counts within each customer."""
        content = {name: value for name, value in change.items() if name not in MAY_DIFFER}
        digest = blake2b(self._encoder.encode(content), digest_size=DIGEST_BYTES).digest()
        self.digests[change["customer_id"]] += digest
        self.changes += 1

    def difference(self, expected: "ChangeDigest") -> str | None:
        """The first difference from `expected`, as a sentence; None where there is none.

        It names the first customer by id whose changes differ, and the number of the first such change. If all changes
        are right and only more are expected, it says that.
        """
        if self.digests == expected.digests:
            return None
        if all(expected.digests.get(each, b"").startswith(said) for each, said in self.digests.items()):
            return f"they are right as far as they go, but {expected.changes:,} were expected"
        customers = sorted(self.digests.keys() | expected.digests.keys())
        customer_id = next(each for each in customers if self.digests.get(each) != expected.digests.get(each))
        said, wanted = (_split(digest.digests.get(customer_id, bytearray())) for digest in (self, expected))
        same = 0
        while same < min(len(said), len(wanted)) and said[same] == wanted[same]:
            same += 1
        return f"customer {customer_id}: change {same + 1} is another ({len(said)} changes, expected {len(wanted)})"


def _split(joined: bytearray) -> list[bytearray]:
    return [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]
