"""The store that lasts: one shard in Redis, on one connection, its head guarding every commit."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import redis
from redis.exceptions import ResponseError

from segflow.segments.instant import UNKNOWN
from segflow.state import head as head_codec
from segflow.state.erasure import Erasure
from segflow.state.head import PAGE_CUSTOMERS, Head
from segflow.state.keys import Keys
from segflow.state.layout import NO_TIMER
from segflow.state.parking import WRONG_TYPE
from segflow.state.redirect import is_redirect
from segflow.state.redis_servers import RedisServers
from segflow.state.store import (
    HOLE,
    Cursor,
    Found,
    Outside,
    ShardLostError,
    TornStateError,
    Write,
    head_error,
)

EXACT_SCORE: Final = 2**53
"""A sorted set's score is a double: beyond this one (the year 2255) it is rounded, so it is made earlier first."""

SCANNED: Final = 1_000
"""Keys a SCAN looks at: a millisecond of the server's time."""

PAGES_ASKED: Final = 64
"""Pages of the directory looked at in one round trip: a millisecond of the server's time."""
LOOKED_FOR: Final = 4
"""Up to so many ids the server looks itself, 8 microseconds an id and page in all; to read a page takes 60."""

ERASED, MERGED, REDIRECTS = range(3)
"""The steps of what stands outside the directory: the first number of a cursor."""

Command = tuple[Any, ...]


class RedisStore:
    """One shard's state in Redis.

    All of it shares one hash tag, so a commit is one MULTI/EXEC also on a cluster. `begin` WATCHes the head on the
    connection that will EXEC: whatever happens to the head, the server or the connection in between, the EXEC fails.
    Any error of the server or the connection leaves the store disconnected; the shard then has to be acquired again.
    So it is where a cluster moves the shard to another server.
    """

    def __init__(self, servers: RedisServers, keys: Keys) -> None:
        self._servers = servers
        self._keys = keys
        self._client: redis.Redis | None = None  # of the server that has the shard, while there is a connection
        self._connection: Any = None
        self._asked = 0  # commands whose replies are still to be read

    def head(self) -> Head | None:
        """See Store."""
        stored = self._call(("GET", self._keys.head))[0]
        return self._decoded(stored)

    def begin(self, expected: Head, ids: Sequence[str] = (), until_us: int = UNKNOWN, limit: int = 0) -> Found:
        """See Store."""
        asked = [self._load(ids)] if ids else []
        if limit and until_us != UNKNOWN:
            asked.append(self._due(until_us, limit))
        replies = self._watch(head_codec.encode(expected), *asked)
        records = replies.pop(0) if ids else []
        return Found(records=records, due=self._ids(replies[0]) if replies else [])

    def load(self, ids: Sequence[str]) -> list[bytes | None]:
        """See Store."""
        records: list[bytes | None] = self._call(self._load(ids))[0] if ids else []
        return records

    def due(self, until_us: int, limit: int) -> list[str]:
        """See Store."""
        return self._ids(self._call(self._due(until_us, limit))[0])

    def page(self, number: int) -> list[str]:
        """See Store."""
        return self._ids(self._call(("LRANGE", self._keys.page(number), 0, -1))[0])

    def places(self, ids: Sequence[str], head: Head) -> dict[str, int]:
        """See Store. Few are looked for by the server, page by page; for many the pages are read."""
        pages = range(head.pages)
        found: dict[str, int] = {}
        for first in pages[::PAGES_ASKED]:
            slice_ = pages[first : first + PAGES_ASKED]
            if len(ids) <= LOOKED_FOR:
                asked = [(number, customer_id) for number in slice_ for customer_id in ids]
                replies = self._call(*(("LPOS", self._keys.page(number), customer_id) for number, customer_id in asked))
                for (number, customer_id), place in zip(asked, replies, strict=True):
                    if place is not None:
                        found[customer_id] = number * PAGE_CUSTOMERS + place
            else:
                wanted = {customer_id.encode(): customer_id for customer_id in ids}
                replies = self._call(*(("LRANGE", self._keys.page(number), 0, -1) for number in slice_))
                for number, members in zip(slice_, replies, strict=True):
                    for place, member in enumerate(members):
                        if member in wanted:
                            found[wanted[member]] = number * PAGE_CUSTOMERS + place
        return found

    def erased(self, pseudonyms: Sequence[bytes]) -> list[Erasure | None]:
        """See Store."""
        values = self._call(("HMGET", self._keys.erased, *pseudonyms))[0] if pseudonyms else []
        return [None if value is None else Erasure.decode(value) for value in values]

    def oldest_erased(self, limit: int) -> list[tuple[bytes, Erasure]]:
        """See Store."""
        names = self._call(("ZRANGE", self._keys.erased_at, 0, limit - 1))[0]
        return [(name, each) for name, each in zip(names, self.erased(names), strict=True) if each is not None]

    def merged_into(self, ids: Sequence[str]) -> list[str | None]:
        """See Store."""
        values = self._call(("HMGET", self._keys.merged_into, *ids))[0] if ids else []
        return [None if value is None else value.decode() for value in values]

    def merged_from(self, customer_id: str) -> list[str]:
        """See Store."""
        return sorted(member.decode() for member in self._call(("HKEYS", self._keys.merged_from(customer_id)))[0])

    def outside_directory(self, cursor: Cursor) -> Outside:
        """See Store. Redirects stand among all records: they are looked for in all keys of the server."""
        step, place = cursor
        if step == REDIRECTS:
            return self._redirects(place)
        key = self._keys.erased if step == ERASED else self._keys.merged_into
        then, found = self._call(("HSCAN", key, place, "COUNT", SCANNED))[0]
        pairs = list(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) else list(found.items())
        following = (step, int(then)) if int(then) else (step + 1, 0)
        if step == ERASED:
            return Outside(erased=[(name, Erasure.decode(value)) for name, value in pairs], then=following)
        return Outside(merged_into=[(name.decode(), value.decode()) for name, value in pairs], then=following)

    def _scan(self, cursor: bytes | int, start: str) -> tuple[bytes, list[bytes]]:
        """Some of the keys that begin with `start`, and where to go on.

        While a cluster moves the shard, some of its keys are elsewhere: then this fails, as does all that asks for one.
        """
        found, _ = self._call(
            ("SCAN", cursor, "MATCH", self._keys.pattern(start), "COUNT", SCANNED), ("EXISTS", self._keys.absent)
        )
        return found[0], found[1]

    def _redirects(self, place: int) -> Outside:
        start = self._keys.record("")
        then, found = self._scan(place, start)
        ids = self._ids([key[len(start.encode()) :] for key in found])
        redirects = [
            (name, value) for name, value in zip(ids, self.load(ids), strict=True) if value and is_redirect(value)
        ]
        return Outside(redirects=redirects, then=(REDIRECTS, int(then)) if int(then) else None)

    def counts(self) -> dict[tuple[str, str], int]:
        """See Store."""
        flat = self._call(("HGETALL", self._keys.counts))[0]
        pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        kinds = {name.decode().partition(":")[::2]: int(count) for name, count in pairs}
        return {kind: count for kind, count in kinds.items() if count}

    def commit(self, write: Write) -> None:
        """See Store."""
        self.send(write)
        self.settle()

    def send(self, write: Write) -> None:
        """See Store."""
        self._begin_execute(self._commands(write))

    async def answered(self, timeout_s: float) -> None:
        """See Store."""
        socket = self._connection._sock.fileno()  # noqa: SLF001 - redis-py has no other way to its socket
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()  # also when the server has closed the connection: `settle` then says so
        loop.add_reader(socket, readable.set)
        try:
            async with asyncio.timeout(timeout_s):
                await readable.wait()
        except TimeoutError as error:
            raise redis.TimeoutError(f"no answer within {timeout_s:g} s") from error
        finally:
            loop.remove_reader(socket)

    def settle(self) -> None:
        """See Store."""
        self._end_execute()

    def acquire(self, head: Head, expected: Head | None) -> None:
        """See Store."""
        self._watch(None if expected is None else head_codec.encode(expected))
        self._execute([("SET", self._keys.head, head_codec.encode(head))])

    def torn(self, head: Head | None) -> str | None:
        """See Store."""
        shard = f"shard {self._keys.partition} in Redis"
        if head is None:
            keys = self._keys
            left = self._call(("EXISTS", keys.page(0), keys.timers, keys.erased, keys.merged_into))[0]
            return f"{shard} has customers and no head" if left else None
        if head.partial or not head.pages:
            return None
        first, last = self._call(("LLEN", self._keys.page(0)), ("LLEN", self._keys.page(head.pages - 1)))
        expected = (min(head.population, PAGE_CUSTOMERS), head.population - (head.pages - 1) * PAGE_CUSTOMERS)
        return f"{shard} lacks part of its customers' directory" if (first, last) != expected else None

    def drop_head(self) -> None:
        """Forget a head that cannot be read, so that what stands beside it can be cleared."""
        self._call(("UNLINK", self._keys.head))

    def clear(self, mark: Head, expected: Head | None) -> None:
        """See Store. Looks through all keys of the server: the directory may be what is missing."""
        self.acquire(mark, expected)
        cursor = b"0"
        while True:
            cursor, found = self._scan(cursor, self._keys.shard)
            gone = [key for key in found if key != self._keys.head.encode()]
            if gone:
                self._call(("UNLINK", *gone))
            if cursor == b"0":
                return

    def wipe(self) -> None:
        """See Store."""
        mark = Head(partial=True)
        self.clear(mark, self.head())
        self._watch(head_codec.encode(mark))
        self._execute([("UNLINK", self._keys.head)])

    def close(self) -> None:
        """See Store."""
        if self._client is not None and self._connection is not None:
            self._connection.disconnect()
            self._client.connection_pool.release(self._connection)
        self._client, self._connection, self._asked = None, None, 0

    def _load(self, ids: Sequence[str]) -> Command:
        key = self._keys.record("")
        return ("MGET", *[key + customer_id for customer_id in ids])

    def _due(self, until_us: int, limit: int) -> Command:
        return ("ZRANGEBYSCORE", self._keys.timers, "-inf", until_us, "LIMIT", 0, limit)

    def _watch(self, expected: bytes | None, *asked: Command) -> list[Any]:
        """Watch the head, which must be as expected; the replies to what was asked in the same round trip."""
        _, stored, *replies = self._call(("WATCH", self._keys.head), ("GET", self._keys.head), *asked)
        if stored != expected and (found := self._decoded(stored)) != (wanted := self._decoded(expected)):
            self._call(("UNWATCH",))
            raise head_error(self._keys.partition, found, wanted)
        return replies

    def _decoded(self, stored: bytes | None) -> Head | None:
        """A head, to be compared by content: an older version wrote one without the fields that came since."""
        try:
            return None if stored is None else head_codec.decode(stored)
        except msgspec.MsgspecError as error:
            raise TornStateError(f"the head of shard {self._keys.partition} in Redis is none: {error}") from error

    def _ids(self, members: Sequence[bytes]) -> list[str]:
        try:
            return [member.decode() for member in members]
        except UnicodeDecodeError as error:
            raise TornStateError(f"shard {self._keys.partition} in Redis has ids that are none: {error}") from error

    def _execute(self, commands: list[Command]) -> None:
        self._begin_execute(commands)
        self._end_execute()

    def _begin_execute(self, commands: list[Command]) -> None:
        self._ask(("MULTI",), *commands, ("EXEC",))

    def _end_execute(self) -> None:
        replies = self._answers()[-1]
        if replies is None:
            raise ShardLostError(f"the head of shard {self._keys.partition} in Redis changed during a commit")
        for reply in replies:
            if isinstance(reply, ResponseError):  # the others were done all the same: Redis takes nothing back
                raise self._refused(reply)

    def _refused(self, error: ResponseError) -> Exception:
        """The server's refusal; where a key is not what segflow made, that of a state that cannot be used."""
        if not str(error).startswith(WRONG_TYPE):
            return error
        return TornStateError(f"a key of shard {self._keys.partition} in Redis is of another type than segflow made it")

    def _commands(self, write: Write) -> list[Command]:
        commands: list[Command] = []
        if write.records:
            key = self._keys.record("")
            pairs = chain.from_iterable((key + customer_id, value) for customer_id, value in write.records)
            commands.append(("MSET", *pairs))
        moved = [(score(timer_us), customer_id) for customer_id, timer_us in write.timers if timer_us != NO_TIMER]
        if moved:
            commands.append(("ZADD", self._keys.timers, *chain.from_iterable(moved)))
        gone = [customer_id for customer_id, timer_us in write.timers if timer_us == NO_TIMER]
        if gone:
            commands.append(("ZREM", self._keys.timers, *gone))
        first = write.head.population - len(write.born)
        for number in range(first // PAGE_CUSTOMERS, write.head.pages if write.born else 0):
            start, stop = (max(0, number * PAGE_CUSTOMERS - first), (number + 1) * PAGE_CUSTOMERS - first)
            commands.append(("RPUSH", self._keys.page(number), *write.born[start:stop]))
        for place, customer_id in write.placed:
            number, index = divmod(place, PAGE_CUSTOMERS)
            commands.append(("LSET", self._keys.page(number), index, customer_id))
        if write.gone or write.holes or write.erased:
            commands += self._erase(write)
        for customer_id, parent, holds in write.ledger:
            if holds:
                commands.append(("HSET", self._keys.merged_into, customer_id, parent))
                commands.append(("HSET", self._keys.merged_from(parent), customer_id, ""))
            else:
                commands.append(("HDEL", self._keys.merged_into, customer_id))
                commands.append(("HDEL", self._keys.merged_from(parent), customer_id))
        commands += [("HINCRBY", self._keys.counts, f"{name}:{label}", by) for name, label, by in write.counts]
        commands.append(("SET", self._keys.head, head_codec.encode(write.head)))
        return commands

    def _erase(self, write: Write) -> list[Command]:
        commands: list[Command] = []
        if write.gone:
            commands.append(("UNLINK", *map(self._keys.record, write.gone)))
        for place in write.holes:
            number, index = divmod(place, PAGE_CUSTOMERS)
            commands.append(("LSET", self._keys.page(number), index, HOLE))
        kept = [(name, erasure) for name, erasure in write.erased if erasure is not None]
        if kept:
            values = chain.from_iterable((name, erasure.encode()) for name, erasure in kept)
            scores = chain.from_iterable((score(erasure.at_us), name) for name, erasure in kept)
            commands += [("HSET", self._keys.erased, *values), ("ZADD", self._keys.erased_at, *scores)]
        gone = [name for name, erasure in write.erased if erasure is None]
        if gone:
            commands += [("HDEL", self._keys.erased, *gone), ("ZREM", self._keys.erased_at, *gone)]
        return commands

    def _call(self, *commands: Command) -> list[Any]:
        """Send the commands in one go and return their replies.

        Raises:
            redis.RedisError: the server cannot be reached or refuses; the connection is dropped.
        """
        self._ask(*commands)
        return self._answers()

    def _ask(self, *commands: Command) -> None:
        if self._connection is None:
            self._connect()
        assert not self._asked, "the replies to what was asked before are still to be read"
        try:
            # In one piece: of several the server may answer the first (a MULTI alone) before it has the rest.
            self._connection.send_packed_command([b"".join(self._connection.pack_commands(commands))])
        except BaseException:
            self._give_up()
            raise
        self._asked = len(commands)

    def _connect(self) -> None:
        self._client = self._servers.of(self._keys.head)
        try:
            self._connection = self._client.connection_pool.get_connection()
        except redis.RedisError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Drop the connection after an error; the next one goes to whoever has the shard then."""
        self.close()
        self._servers.doubt()

    def _answers(self) -> list[Any]:
        asked, self._asked = self._asked, 0
        try:
            replies = [self._reply() for _ in range(asked)]
        except BaseException:
            self._give_up()
            raise
        for reply in replies:
            if isinstance(reply, ResponseError):
                self._give_up()
                raise self._refused(reply)
        return replies

    def _reply(self) -> Any:
        try:
            return self._connection.read_response()
        except ResponseError as error:
            return error  # the other replies of this round trip are still to be read


def score(timer_us: int) -> int:
    """The score of a timer in the sorted set."""
    return timer_us if abs(timer_us) < EXACT_SCORE else timer_us - 1024  # half the widest gap of doubles below 2**63
