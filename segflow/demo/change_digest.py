"""Whether two runs over one history said the same, change for change."""

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import msgspec

MAY_DIFFER: Final = frozenset({"detected_at", "position", "mode"})
"""When and where a change was found: docs/contract.md#changes-out. All else must be the same."""
DIGEST_BYTES: Final = 16
"""128 bits: no two of a trillion changes collide."""


@dataclass(slots=True)
class ChangeDigest:
    """What one run said: a digest of each change, by customer and in their order; whole changes would fill memory."""

    changes: int = 0
    digests: dict[str, bytearray] = field(default_factory=lambda: defaultdict(bytearray))
    _encoder: msgspec.json.Encoder = field(default_factory=lambda: msgspec.json.Encoder(order="sorted"))

    def add(self, change: dict[str, Any]) -> None:
        """The next change; of one customer's, the order counts."""
        content = {name: value for name, value in change.items() if name not in MAY_DIFFER}
        digest = blake2b(self._encoder.encode(content), digest_size=DIGEST_BYTES).digest()
        self.digests[change["customer_id"]] += digest
        self.changes += 1

    def difference(self, expected: "ChangeDigest") -> str | None:
        """The first customer, by id, of whom `expected` says something else, and where; None: there is none.

        Where all that was said is right, and only more is expected, it is told so.
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
