"""A transactional producer for one commit at a time, on aiokafka's connections.

aiokafka's own producer is made for many small sends: a background task gathers records into requests, a commit takes
at least four of its rounds, and a transaction that begins while the broker still writes the last one's markers waits
20 ms. A commit of a shard is all there at once, so it is three requests: AddPartitionsToTxn, Produce, EndTxn; from
Kafka 4.0 on the last two.

https://kafka.apache.org/protocol; KIP-98 for what each error means to a transaction.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest
from aiokafka.structs import TopicPartition

from segflow.schemas.connection_settings import Kafka
from segflow.streams.kafka.clients import aiokafka_options
from segflow.streams.publish.record_batch import RecordBatch
from segflow.streams.publish.transaction_requests import (
    IMPLICIT,
    BumpingEndRequest,
    FeaturesRequest,
    ImplicitProduceRequest,
    transaction_level,
)
from segflow.streams.runtime.error_reason import reason

log = logging.getLogger(__name__)

Filled = Mapping[TopicPartition, Sequence[RecordBatch]]
"""The batches that one commit sends, in order, by partition."""

ALL_REPLICAS: Final = -1
NO_PRODUCER: Final = (-1, -1)
REQUEST_TIMEOUT_MS: Final = 40_000
"""aiokafka's own; the shard's bound on a commit is what ends one that hangs."""
MARKERS_S: Final = 0.002
"""Between two tries while the broker still writes the last transaction's markers, which takes it a few milliseconds."""
RETRY_S: Final = 0.1
"""Between two tries while a leader or a coordinator is being elected."""
FENCED: Final = (47, 90)  # INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
UNREACHED: Final = (
    errors.CoordinatorNotAvailableError,
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.RequestTimedOutError,
)
"""The request may have arrived or not; asking again is safe in every case."""


class TransactionalProducer:
    """Sends commits one after the other.

    Args:
        kafka: where it is.
        transactional_id: its own; starting fences whoever had it before. None: no transactions, no fencing.
        transaction_timeout_ms: after which the broker ends a transaction whose producer is gone.

    A request that meets a moved leader is sent again: sequence numbers keep it from counting twice (without
    transactions it may). Every other error leaves the transaction's fate unknown; the producer is then of no use.
    """

    def __init__(self, kafka: Kafka, transactional_id: str | None, transaction_timeout_ms: int) -> None:
        self._client = AIOKafkaClient(request_timeout_ms=REQUEST_TIMEOUT_MS, **aiokafka_options(kafka))
        self._id = transactional_id
        self._timeout_ms = transaction_timeout_ms
        self._producer = NO_PRODUCER  # id and epoch
        self._sequences: dict[TopicPartition, int] = defaultdict(int)
        self._coordinator: Any = None
        self._implicit = False  # producing adds a partition to the transaction by itself
        self.offsets: dict[TopicPartition, int] = {}  # of the first record of the batch acknowledged last
        self.obstacle = ""  # what the commit under way is asking again for; empty while nothing is in its way

    async def start(self, topics: Sequence[str]) -> None:
        """Find the leaders of `topics`; with transactions, see `fence`.

        Raises:
            aiokafka.errors.KafkaError: Kafka cannot be reached, or refuses.
        """
        await self._client.bootstrap()
        await self._client.set_topics(topics)
        if self._id is not None:
            self._implicit = await self._adds_partitions()
            await self.fence()

    async def fence(self) -> None:
        """InitTransactions: an open transaction of this id is aborted, and who began it can commit no more.

        Raises:
            aiokafka.errors.KafkaError: Kafka cannot be reached, or refuses.
        """
        while True:
            answer = await self._ask_coordinator(InitProducerIdRequest(str(self._id), self._timeout_ms))
            if answer is not None and not await self._again(answer.error_code):
                self._producer = (answer.producer_id, answer.producer_epoch)
                self._sequences.clear()
                return

    async def begin(self, places: Iterable[TopicPartition]) -> None:
        """Begin a transaction that writes to `places`.

        Raises:
            aiokafka.errors.KafkaError: also of a producer that another has fenced.
        """
        if self._implicit:
            return
        by_topic: dict[str, list[int]] = defaultdict(list)
        for place in places:
            by_topic[place.topic].append(place.partition)
        while True:
            request = AddPartitionsToTxnRequest(str(self._id), *self._producer, list(by_topic.items()))
            answer = await self._ask_coordinator(request)
            answered = [] if answer is None else answer.errors
            codes = [code for _, found in answered for _, code in found]
            if answer is not None and not await self._again(*codes):
                return
            refused = [topic for topic, found in answered if any(code for _, code in found)]
            if refused:
                self.obstacle = f"{self.obstacle} ({', '.join(refused)})"

    async def send(self, filled: Filled) -> None:
        """Send the batches, those of one partition one after the other; all are there on return.

        Raises:
            aiokafka.errors.KafkaError: what became of them is unknown.
        """
        for number in range(max(map(len, filled.values()), default=0)):
            await self._produce({place: batches[number] for place, batches in filled.items() if number < len(batches)})

    async def end(self) -> None:
        """Commit the transaction.

        Raises:
            aiokafka.errors.KafkaError: whether it was committed is unknown.
        """
        kind: Any = BumpingEndRequest if self._implicit else EndTxnRequest
        while True:
            answer = await self._ask_coordinator(kind(str(self._id), *self._producer, True))
            if answer is None or await self._again(answer.error_code):
                continue
            if self._implicit:
                self._producer = (answer.producer_id, answer.producer_epoch)
                self._sequences.clear()
            self.obstacle = ""
            return

    async def close(self) -> None:
        """Release the connections; an open transaction is left to the next producer of this id, which ends it."""
        await self._client.close()

    async def _produce(self, batches: Mapping[TopicPartition, RecordBatch]) -> None:
        left = dict(batches)
        for place, batch in left.items():
            if self._id is not None:
                batch.number(*self._producer, self._sequences[place])
        while left:
            by_leader: dict[int, dict[str, list[tuple[int, bytes]]]] = defaultdict(lambda: defaultdict(list))
            for place, batch in left.items():
                leader = self._client.cluster.leader_for_partition(place)
                if leader in (None, -1):
                    self.obstacle = f"{place.topic}, partition {place.partition}, has no leader, or is gone"
                else:
                    by_leader[leader][place.topic].append((place.partition, batch.built()))
            answers = await asyncio.gather(*(self._send(node, topics) for node, topics in by_leader.items()))
            for place in [place for done in answers for place in done]:
                self._sequences[place] += left.pop(place).count
            if left:
                await self._client.force_metadata_update()
                await asyncio.sleep(RETRY_S)
        if self._id is None:
            self.obstacle = ""

    async def _send(self, node: int, topics: Mapping[str, list[tuple[int, bytes]]]) -> list[TopicPartition]:
        """Send to a leader. Returns the partitions that it acknowledged; none where it could not be reached."""
        kind: Any = ImplicitProduceRequest if self._implicit else ProduceRequest
        request = kind(self._id, ALL_REPLICAS, REQUEST_TIMEOUT_MS, list(topics.items()))
        try:
            answer = await self._client.send(node, request)
        except UNREACHED as error:
            log.debug("producing: %r; trying again", error)
            self.obstacle = reason(error)
            return []
        taken = []
        for topic, partitions, *_tags in answer.topics:
            for partition, code, offset, *_rest in partitions:
                why = errors.for_code(code)
                if why in (errors.NoError, errors.DuplicateSequenceNumber):
                    taken.append(TopicPartition(topic, partition))
                    self.offsets[taken[-1]] = offset
                elif why is errors.ConcurrentTransactions:
                    await asyncio.sleep(MARKERS_S)
                elif not why.retriable:
                    raise _refused(code, f"{topic} {partition}")
                else:
                    self.obstacle = f"{topic}, partition {partition}: {reason(why())}"
        return taken

    async def _adds_partitions(self) -> bool:
        """Whether the cluster has agreed on transactions in which producing adds a partition."""
        node = self._client.get_random_node()
        try:
            return transaction_level(await self._client.send(node, FeaturesRequest())) >= IMPLICIT
        except (NotImplementedError, errors.IncompatibleBrokerVersion):
            return False  # a broker from before there were such features

    async def _ask_coordinator(self, request: Any) -> Any:
        """The answer, None where another broker coordinates from now on."""
        try:
            if self._coordinator is None:
                kind = CoordinationType.TRANSACTION
                self._coordinator = await self._client.coordinator_lookup(kind, str(self._id))
            return await self._client.send(self._coordinator, request, group=ConnectionGroup.COORDINATION)
        except UNREACHED as error:
            log.debug("transaction coordinator: %r; looking for it again", error)
            self.obstacle = f"transaction coordinator: {reason(error)}"
            self._coordinator = None
            await self._client.force_metadata_update()
            await asyncio.sleep(RETRY_S)
            return None

    async def _again(self, *codes: int) -> bool:
        """Whether to ask the coordinator again, after a pause."""
        for code in codes:
            error = errors.for_code(code)
            if error is errors.ConcurrentTransactions:
                await asyncio.sleep(MARKERS_S)
            elif error in (errors.CoordinatorNotAvailableError, errors.NotCoordinatorError):
                self._coordinator = None
                await asyncio.sleep(RETRY_S)
            elif error in (errors.CoordinatorLoadInProgressError, errors.UnknownTopicOrPartitionError):
                await asyncio.sleep(RETRY_S)
            elif error in (errors.NoError, errors.OperationNotAttempted):
                continue
            else:
                raise _refused(code)
            self.obstacle = f"transaction coordinator: {reason(error())}"
            return True
        return False


def _refused(code: int, where: str = "") -> errors.KafkaError:
    """The broker's refusal; it has two names for a producer that another has fenced, and aiokafka knows one."""
    if code in FENCED:
        return errors.ProducerFenced(where)
    refusal: errors.KafkaError = errors.for_code(code)(where or f"Kafka refuses with code {code}")
    return refusal
