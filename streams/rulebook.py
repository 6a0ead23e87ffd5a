"""Every version of the rules there was: definitions and cuts, as the control topic lists them."""

from dataclasses import dataclass, field

from segments.cuts import Cuts
from segments.rules import Rules
from streams.changes import Cause


@dataclass(slots=True)
class Rulebook:
    """Rules by version. A version is the offset of the control record that made them the latest; 0 is the first."""

    first: Rules
    _versions: dict[int, tuple[Rules, Cause]] = field(init=False)

    def __post_init__(self) -> None:
        self._versions = {self.first.version: (self.first, Cause.DEFINITION)}

    @property
    def latest(self) -> Rules:
        """The rules a shard adopts next, if it has not yet."""
        return self._versions[max(self._versions)][0]

    def add_cuts(self, cuts: Cuts) -> None:
        """New cuts of the same definition; versions only grow, and one that is known already is ignored."""
        if cuts.version > max(self._versions):
            self._versions[cuts.version] = (self.latest.with_cuts(cuts), Cause.RECUT)

    def has(self, version: int) -> bool:
        """Whether the control topic had this version."""
        return version in self._versions

    def rules(self, version: int) -> Rules:
        """The rules of a version.

        Raises:
            KeyError: the control topic had no such version.
        """
        return self._versions[version][0]

    def cause(self, version: int) -> Cause:
        """What adopting a version is called."""
        return self._versions[version][1]
