"""The commits' view of the control topic: every rule version so far, and the secret that hashes erased ids."""

from dataclasses import dataclass, field

from segflow.engine.columns.changes import Cause
from segflow.segments.cuts import Cuts
from segflow.segments.rules import Rules


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """One version of the rules.

    cause: what adopting it is called. quiet: what moves by its adoption is not published.
    """

    rules: Rules
    cause: Cause
    quiet: bool = False


@dataclass(slots=True)
class RuleVersions:
    """Rules by version. A version is the offset of the control record that made them the latest; 0 is the first."""

    first: Rules
    secret: bytes = b""  # what the ids of erased customers are hashed with; empty in memory, where nothing stays
    _versions: dict[int, Version] = field(init=False)

    def __post_init__(self) -> None:
        self._versions = {self.first.version: Version(rules=self.first, cause=Cause.DEFINITION)}

    @property
    def latest(self) -> Rules:
        """The rules that all shards will have adopted when they have done what there is to do."""
        return self._versions[max(self._versions)].rules

    @property
    def definitions(self) -> list[Rules]:
        """Every definition's rules, as they were at first, oldest first."""
        return [each.rules for each in self._versions.values() if each.cause is Cause.DEFINITION]

    def add_cuts(self, cuts: Cuts) -> None:
        """New cuts of the same definition; versions only grow, and one that is known already is ignored."""
        if cuts.version > max(self._versions):
            self._versions[cuts.version] = Version(rules=self.latest.with_cuts(cuts), cause=Cause.RECUT)

    def add_definition(self, rules: Rules, *, quiet: bool = False) -> None:
        """A new definition, `rules.definition` being its version; one that is known already is ignored."""
        if rules.definition > max(self._versions):
            self._versions[rules.definition] = Version(rules=rules, cause=Cause.DEFINITION, quiet=quiet)

    def next_version(self, version: int) -> int:
        """The version that a shard with rules of `version` adopts next; `version` itself where it has the latest.

        Each definition has its turn, so that what it moves is published as its doing; cuts that are outdated are left
        out.
        """
        for number, each in self._versions.items():  # ascending: versions only grow
            if number > version and each.cause is Cause.DEFINITION:
                return number
        return max(version, *self._versions)

    def has(self, version: int) -> bool:
        """Whether the control topic had this version."""
        return version in self._versions

    def version(self, version: int) -> Version:
        """A version.

        Raises:
            KeyError: the control topic had no such version.
        """
        return self._versions[version]

    def rules(self, version: int) -> Rules:
        """The rules of a version.

        Raises:
            KeyError: the control topic had no such version.
        """
        return self._versions[version].rules
