"""Who became whom: the book of shard 0, where all aliases of several shards are decided, in one order.

An id is merged once: the first alias wins. An id is never merged into itself, however long the chain: what the book has
is without a cycle, so whatever is redirected comes to an end.
"""

from dataclasses import dataclass, field

import msgspec

from segflow.engine.columns.merge_messages import APPROVE, ERASED, TRANSFER, UNLINK, MergeMessage
from segflow.state.store import Store


@dataclass(slots=True)
class Book:
    """The store's book, with what this commit adds to it."""

    store: Store
    written: list[tuple[str, str, bool]] = field(default_factory=list)  # see Write
    _became: dict[str, str | None] = field(default_factory=dict)  # as far as it was looked at or changed
    _members: dict[str, list[str]] = field(default_factory=dict)

    def take(self, asked: MergeMessage) -> list[MergeMessage]:
        """Decide a claim, or let go of the ids of a customer who was erased; what is to be sent."""
        if asked.kind == ERASED:
            return [self._unlink(asked, member, customer) for member, customer in self._all_of(asked.customer)]
        end = self.end_of(asked.customer)
        if self._whom(asked.previous) is not None or end == asked.previous:
            return [msgspec.structs.replace(asked, kind=TRANSFER, to=asked.customer)]
        self._note(asked.previous, end, does=True)
        return [msgspec.structs.replace(asked, kind=APPROVE, to=asked.previous, customer=end)]

    def end_of(self, customer_id: str) -> str:
        """Who the id is by now."""
        while (became := self._whom(customer_id)) is not None:
            customer_id = became
        return customer_id

    def _whom(self, customer_id: str) -> str | None:
        if customer_id not in self._became:
            self._became[customer_id] = self.store.became([customer_id])[0]
        return self._became[customer_id]

    def _members_of(self, customer_id: str) -> list[str]:
        if customer_id not in self._members:
            self._members[customer_id] = self.store.members(customer_id)
        return self._members[customer_id]

    def _all_of(self, customer_id: str) -> list[tuple[str, str]]:
        """The ids that became the customer, those that became them, and so on, each with whom it became."""
        found = [(member, customer_id) for member in self._members_of(customer_id)]
        for member, _ in found:
            found += [(each, member) for each in self._members_of(member)]
        return found

    def _unlink(self, asked: MergeMessage, member: str, customer: str) -> MergeMessage:
        self._note(member, customer, does=False)
        return msgspec.structs.replace(asked, kind=UNLINK, to=member)

    def _note(self, customer_id: str, became: str, *, does: bool) -> None:
        self.written.append((customer_id, became, does))
        self._became[customer_id] = became if does else None
        members = [each for each in self._members_of(became) if each != customer_id]
        self._members[became] = sorted([*members, customer_id]) if does else members
