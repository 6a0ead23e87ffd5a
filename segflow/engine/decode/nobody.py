"""Ids that are nobody's: placeholders such as "guest", under which a shop collects whoever did not log in."""

from collections.abc import Sequence
from functools import lru_cache

from segflow.engine.columns.events import Chunk, Kind, Unusable


def refuse_nobody(chunk: Chunk, nobody: Sequence[str]) -> Chunk:
    """The same records, those of ids that are nobody's unusable, and aliases that would merge such an id.

    An erase stays usable: what was gathered under such an id before it was listed can be forgotten.
    """
    if not nobody:
        return chunk
    ids = spellings(tuple(nobody))
    found = {row: ("previous_id", each.previous) for row, each in chunk.merge_messages.items() if each.previous in ids}
    if not ids.isdisjoint(chunk.customer_ids):
        found |= {row: ("customer_id", each) for row, each in enumerate(chunk.customer_ids) if each in ids}
    unusable = {
        row: Unusable(
            "nobody",
            f"{field} {name!r} is nobody's (setting nobody): whoever is not known needs an id of their own, such as a "
            "visitor's, which an alias merges later",
        )
        for row, (field, name) in found.items()
        if chunk.usable[row] and chunk.kinds[row] != Kind.ERASE
    }
    if not unusable:
        return chunk
    usable = chunk.usable.copy()
    usable[list(unusable)] = False
    return chunk.with_unusable(usable, chunk.unusable | unusable)


@lru_cache(maxsize=8)
def spellings(ids: tuple[str, ...]) -> frozenset[str]:
    """Each id as written, in lower case, in upper case and capitalized."""
    return frozenset(form for each in ids for form in (each, each.lower(), each.upper(), each.capitalize()))
