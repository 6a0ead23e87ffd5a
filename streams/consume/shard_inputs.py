"""The buffers of a shard's inputs: records that have arrived and are not committed yet."""

import logging
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from segflow.engine.columns import events
from segflow.engine.columns.events import Chunk
from segflow.engine.decode.records import Decoder
from segflow.engine.decode.transfers import Decoders, HandoverDecoder, UnreadableMessageError
from segflow.streams.consume.transport import Batch
from segflow.streams.kafka.leader_epochs import UNKNOWN_EPOCH

log = logging.getLogger(__name__)

TRACEPARENT: Final = "traceparent"
"""The header of W3C's Trace Context."""
CONTEXT: Final = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""Its value: version, trace, span and flags. Whatever else stands there is no trace, and is not kept."""


@dataclass(slots=True)
class InputBuffer:
    """One input: decoded chunks in their order, and where the next record will be."""

    decoder: Decoder | HandoverDecoder
    offset: int = 0  # the next one to consume
    read_to: int = 0  # the next one to come
    arrived: int = 0  # records ever put in, counted by the event loop
    consumed: int = 0  # records ever taken out, counted by the shard, at times in a thread
    arrived_bytes: int = 0  # likewise, of keys and values
    consumed_bytes: int = 0
    chunks: deque[Chunk] = field(default_factory=deque)
    raw: deque[Sequence[Any]] = field(default_factory=deque)  # fetched, not decoded yet
    contexts: dict[int, bytes] = field(default_factory=dict)  # by offset, where traces are carried
    leader_epoch: int = UNKNOWN_EPOCH  # Kafka's, of the last record consumed
    epochs: deque[tuple[int, int]] = field(default_factory=deque)  # of those to come: from which offset on, which
    newest_epoch: int = UNKNOWN_EPOCH  # records of later leaders are refused until what was read is checked
    sizes: deque[tuple[int, int]] = field(default_factory=deque)  # of each batch: where it ends, its bytes

    @property
    def waiting(self) -> int:
        """Records held."""
        return self.arrived - self.consumed

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the records held, a batch that was consumed in part with all of it."""
        return self.arrived_bytes - self.consumed_bytes

    def peek(self, most: int) -> Chunk:
        """At most `most` records from the front; decodes what it needs. The rest stays raw.

        Raises:
            UnreadableMessageError: the first record is one. Those before one come first.
        """
        held = sum(map(len, self.chunks))
        while self.raw and held < most:
            records = self.raw.popleft()
            try:
                chunk = self.decoder.records(records)
            except UnreadableMessageError as error:
                self.raw.appendleft(records[error.row :])
                if not held and not error.row:
                    raise
                if error.row:
                    self.chunks.append(self.decoder.records(records[: error.row]))
                break
            self.chunks.append(chunk)
            held += len(chunk)
        joined = events.join(list(self.chunks))
        self.chunks = deque([joined] if len(joined) else [])
        return joined if len(joined) <= most else joined.slice(0, most)

    def use(self, decoder: Decoder | HandoverDecoder) -> None:
        """Decode by another decoder from now on, and again what waits and is decoded."""
        if decoder is not self.decoder:
            self.decoder = decoder
            self.chunks = deque(decoder.again(chunk) for chunk in self.chunks)

    def begin(self, offset: int, leader_epoch: int = UNKNOWN_EPOCH, newest_epoch: int = UNKNOWN_EPOCH) -> None:
        """The next record to come and to consume is the one at `offset`.

        leader_epoch: of the one before it. newest_epoch: of the leader there is; UNKNOWN_EPOCH: whatever comes is good.
        """
        self.offset = self.read_to = offset
        self.leader_epoch, self.newest_epoch = leader_epoch, newest_epoch

    def consume(self, count: int) -> None:
        """Drop the first `count` records."""
        self.consumed += count
        if count:
            front = self.chunks.popleft()
            self.offset = int(front.offsets[count - 1]) + 1
            if count < len(front):
                self.chunks.appendleft(front.slice(count, len(front)))
        while self.sizes and self.sizes[0][0] <= self.offset:
            self.consumed_bytes += self.sizes.popleft()[1]
        read_to = self.read_to  # before looking at what waits: `offer` counts records first
        if not self.waiting:
            self.offset = max(self.offset, read_to)  # past the transaction markers behind the last record
        while self.epochs and self.epochs[0][0] < self.offset:
            self.leader_epoch = self.epochs.popleft()[1]


def decode_buffers(buffers: Sequence[InputBuffer]) -> None:
    """Decode what the buffers hold, those with one decoder in one go: what few records cost is the calls."""
    by_decoder: dict[int, list[InputBuffer]] = {}
    for buffer in buffers:
        if buffer.raw and isinstance(buffer.decoder, Decoder):
            by_decoder.setdefault(id(buffer.decoder), []).append(buffer)
    for alike in by_decoder.values():
        records = [[record for fetched in buffer.raw for record in fetched] for buffer in alike]
        chunk = alike[0].decoder.records(list(chain.from_iterable(records)))
        start = 0
        for buffer, its in zip(alike, records, strict=True):
            buffer.raw.clear()
            buffer.chunks.append(chunk.slice(start, start + len(its)))
            start += len(its)


class ShardInputs:
    """The buffers of all inputs, and the callback for arrivals."""

    def __init__(self, purchases: Decoder, interactions: Decoder, handover: HandoverDecoder) -> None:
        self.buffers = (InputBuffer(purchases), InputBuffer(interactions), InputBuffer(handover))
        self.traced = False  # the traces of events are carried to their changes
        self.arrived = False  # something, since the shard looked last
        self.new_leader = ""  # of an input, from when on nothing more is taken in: what was read must be checked first
        self.on_arrival: Callable[[], None] = _nobody_waits

    def use(self, decoders: Decoders) -> None:
        """Decode by these from now on: a new definition may keep more of events than those before it."""
        purchases, interactions, handover = self.buffers
        purchases.use(decoders.purchases)
        interactions.use(decoders.interactions)
        handover.use(decoders.handover)

    def take_contexts(self) -> dict[tuple[int, int], bytes]:
        """The traceparent of what was consumed since the last time, by input and offset."""
        taken: dict[tuple[int, int], bytes] = {}
        for side, buffer in enumerate(self.buffers):
            for offset in [offset for offset in buffer.contexts if offset < buffer.offset]:
                taken[side, offset] = buffer.contexts.pop(offset)
        return taken

    @property
    def waiting(self) -> int:
        """Records held, of all inputs."""
        return sum(buffer.waiting for buffer in self.buffers)

    def offer(self, side: int, batch: Batch) -> None:
        """Put a batch in.

        What was read before is left out; a batch that does not join on is a leftover of an earlier reading, from
        before the shard was acquired, and is left out as a whole.
        """
        buffer = self.buffers[side]
        if batch.start > buffer.read_to:
            log.info(
                "records from %d on left out: read before the shard was acquired at %d", batch.start, buffer.read_to
            )
            return
        newest = max((epoch for _, epoch in batch.epochs), default=UNKNOWN_EPOCH)
        if newest > buffer.newest_epoch > UNKNOWN_EPOCH:
            self.new_leader = self.new_leader or f"epoch {newest} after {buffer.newest_epoch}"
            self.arrived = True
            self.on_arrival()
            return
        fresh = batch.records
        if fresh and fresh[0].offset < buffer.read_to:
            fresh = [record for record in fresh if record.offset >= buffer.read_to]
        if fresh:
            if self.traced:
                buffer.contexts |= _contexts(fresh)
            buffer.raw.append(fresh)
            buffer.sizes.append((fresh[-1].offset + 1, batch.bytes))
            buffer.arrived += len(fresh)
            buffer.arrived_bytes += batch.bytes
        buffer.epochs.extend(batch.epochs)
        buffer.read_to = max(buffer.read_to, batch.stop)
        self.arrived = True
        self.on_arrival()


def _contexts(records: Sequence[Any]) -> dict[int, bytes]:
    """The traceparent of the records that have one, by offset."""
    return {
        record.offset: value
        for record in records
        for name, value in record.headers
        if name == TRACEPARENT and value and CONTEXT.fullmatch(value)
    }


def _nobody_waits() -> None:
    """Do nothing: the answer to an arrival while a commit is under way."""
