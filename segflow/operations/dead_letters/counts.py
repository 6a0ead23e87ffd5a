"""Dead letters counted by reason."""

from dataclasses import dataclass, field

from segflow.operations.dead_letters.letters import Letter


@dataclass(slots=True)
class Count:
    """The dead letters of one kind."""

    first: Letter  # the oldest
    latest: Letter
    count: int = 0
    replayed: int = 0


@dataclass(slots=True)
class Counts:
    """Of each kind that there is."""

    kinds: dict[str, Count] = field(default_factory=dict)

    def add(self, letter: Letter) -> None:
        """One more."""
        kind = letter.content.kind
        known = self.kinds.setdefault(kind, Count(letter, letter))
        known.count += 1
        known.replayed += letter.replayed
        known.first = min(known.first, letter, key=_found)
        known.latest = max(known.latest, letter, key=_found)

    def largest_first(self) -> list[tuple[str, Count]]:
        """By their number."""
        return sorted(self.kinds.items(), key=lambda each: (-each[1].count, each[0]))


def _found(letter: Letter) -> int:
    return letter.found_us
