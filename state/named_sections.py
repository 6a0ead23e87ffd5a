"""Sections of models of other packages, which go by name: at the end of a record, in the order of their keys.

Each has a key (the hash of its model's name, `u4`), how many bytes follow (`u1`), and these: label, since when, facts.
One whose model is not asked for is kept as it is.
"""

import struct

import numpy as np

from segflow.schemas.model_error import ModelError
from segflow.schemas.rule_dimensions import key_of
from segflow.segments.facts import Rows
from segflow.state.customers import Customers
from segflow.state.layout import LayoutError, as_bytes, packaged, says_anything

HEAD = struct.Struct("<IB")


def encode(customers: Customers) -> list[bytes]:
    """Each customer's sections of models of other packages, as the bytes that are stored; of none, no bytes."""
    entries: list[dict[int, bytes]] = [{} for _ in range(len(customers))]
    if customers.unread is not None:
        for row, block in enumerate(customers.unread):
            entries[row].update(_entries(block))
    for name in packaged(customers.sections):
        section = customers.sections[name]
        rows, width, key = np.flatnonzero(says_anything(name, section)), section.itemsize, key_of(name)
        flat = as_bytes(section[rows]).tobytes()
        for place, row in enumerate(rows.tolist()):
            entries[row][key] = flat[place * width : (place + 1) * width]
    return [_block(each) for each in entries]


def decode(customers: Customers, rows: Rows, blocks: list[bytes]) -> None:
    """Copy the sections in `blocks`, those of the customers `rows`, as far as they are asked for; the rest is unread.

    Raises:
        LayoutError: a block is empty or cut short.
        ModelError: a section was written by another version of its model.
    """
    names = {key_of(name): name for name in packaged(customers.sections)}
    for row, block in zip(rows.tolist(), blocks, strict=True):
        if not block:
            raise LayoutError("a customer record does not have the sections of models it says it has")
        left: dict[int, bytes] = {}
        for key, content in _entries(block).items():
            name = names.get(key)
            if name is None:
                left[key] = content
                continue
            section = customers.sections[name]
            if len(content) != section.itemsize:
                raise ModelError(
                    f"the model {name}: a record has {len(content)} bytes of it, the version installed here has "
                    f"{section.itemsize}; install the version that wrote it"
                )
            section[row] = np.frombuffer(content, dtype=section.dtype)[0]
        if left:
            if customers.unread is None:
                customers.unread = no_blocks(len(customers))
            customers.unread[row] = _block(left)


def no_blocks(count: int) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """Of `count` customers none that is unread."""
    return np.full(count, b"", dtype=np.object_)


def either(block: bytes, other: bytes) -> bytes:
    """The sections of both blocks; of those that both have, those of the first."""
    return _block(_entries(other) | _entries(block))


def _block(entries: dict[int, bytes]) -> bytes:
    return b"".join(HEAD.pack(key, len(entries[key])) + entries[key] for key in sorted(entries))


def _entries(block: bytes) -> dict[int, bytes]:
    """By key.

    Raises:
        LayoutError: the block is cut short.
    """
    found, at = {}, 0
    while at < len(block):
        if at + HEAD.size > len(block):
            raise LayoutError("a customer record does not have the sections of models it says it has")
        key, size = HEAD.unpack_from(block, at)
        at += HEAD.size
        found[key] = block[at : at + size]
        at += size
    if at != len(block):
        raise LayoutError("a customer record does not have the sections of models it says it has")
    return found
