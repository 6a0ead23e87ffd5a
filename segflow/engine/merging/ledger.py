"""The merge ledger of shard 0: who became whom. All aliases of several shards are decided there, in one order.

An id is merged once: the first alias wins. An id is never merged into itself, however long the chain. So the ledger has
no cycle, and whatever is redirected comes to an end.
"""

from dataclasses import dataclass, field

import msgspec

from segflow.engine.columns.merge_messages import APPROVE, ERASED, TRANSFER, UNLINK, MergeMessage
from segflow.state.store import LedgerEntry, Store


@dataclass(slots=True)
class MergeLedger:
    """The store's ledger, with what this commit adds to it."""

    store: Store
    written: list[LedgerEntry] = field(default_factory=list)
    _merged_into: dict[str, str | None] = field(default_factory=dict)  # as far as it was looked at or changed
    _merged_from: dict[str, list[str]] = field(default_factory=dict)

    def decide(self, asked: MergeMessage) -> list[MergeMessage]:
        """Decide a claim, or unlink the ids of a customer who was erased. Returns the messages to send."""
        if asked.kind == ERASED:
            return [self._unlink(asked, each, customer) for each, customer in self._all_of(asked.customer)]
        end = self.end_of(asked.customer)
        if self._whom(asked.previous) is not None or end == asked.previous:
            return [msgspec.structs.replace(asked, kind=TRANSFER, to=asked.customer)]
        self._note(asked.previous, end, holds=True)
        return [msgspec.structs.replace(asked, kind=APPROVE, to=asked.previous, customer=end)]

    def end_of(self, customer_id: str) -> str:
        """The id at the end of the chain of merges that begins with `customer_id`; itself if it was never merged."""
        while (merged_into := self._whom(customer_id)) is not None:
            customer_id = merged_into
        return customer_id

    def ids_of(self, customer_id: str) -> list[str]:
        """The customer that the id is by now, and every id that became that one."""
        end = self.end_of(customer_id)
        return [end, *(each for each, _ in self._all_of(end))]

    def _whom(self, customer_id: str) -> str | None:
        if customer_id not in self._merged_into:
            self._merged_into[customer_id] = self.store.merged_into([customer_id])[0]
        return self._merged_into[customer_id]

    def _merged_from_of(self, customer_id: str) -> list[str]:
        if customer_id not in self._merged_from:
            self._merged_from[customer_id] = self.store.merged_from(customer_id)
        return self._merged_from[customer_id]

    def _all_of(self, customer_id: str) -> list[tuple[str, str]]:
        """The ids that became the customer, those that became them, and so on, each with whom it became."""
        found = [(each, customer_id) for each in self._merged_from_of(customer_id)]
        for other, _ in found:
            found += [(each, other) for each in self._merged_from_of(other)]
        return found

    def _unlink(self, asked: MergeMessage, customer_id: str, merged_into: str) -> MergeMessage:
        self._note(customer_id, merged_into, holds=False)
        return msgspec.structs.replace(asked, kind=UNLINK, to=customer_id)

    def _note(self, customer_id: str, merged_into: str, *, holds: bool) -> None:
        self.written.append(LedgerEntry(customer_id, merged_into, holds))
        self._merged_into[customer_id] = merged_into if holds else None
        others = [each for each in self._merged_from_of(merged_into) if each != customer_id]
        self._merged_from[merged_into] = sorted([*others, customer_id]) if holds else others
