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
    found: dict[int, str] = {}
    if not ids.isdisjoint(chunk.customer_ids):
        found = {row: "customer_id" for row, each in enumerate(chunk.customer_ids) if each in ids}
    for row, message in chunk.merge_messages.items():
        if message.previous in ids:
            found.setdefault(row, "previous_id")
    usable = chunk.usable.copy()
    unusable = dict(chunk.unusable)
    for row, field in found.items():
        if usable[row] and chunk.kinds[row] != Kind.ERASE:
            name = chunk.customer_ids[row] if field == "customer_id" else chunk.merge_messages[row].previous
            usable[row] = False
            unusable[row] = Unusable(
                "nobody",
                f"{field} {name!r} is nobody's (setting nobody): whoever is not known needs an id of their own, such "
                "as a visitor's, which an alias merges later",
            )
    return chunk.with_unusable(usable, unusable) if len(unusable) > len(chunk.unusable) else chunk


@lru_cache(maxsize=8)
def spellings(ids: tuple[str, ...]) -> frozenset[str]:
    """Each id as it is, in small letters, in capitals, and with a capital at its beginning."""
    return frozenset(form for each in ids for form in (each, each.lower(), each.upper(), each.capitalize()))
