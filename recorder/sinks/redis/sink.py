"""RedisSink: hashes of what is latest, capped streams and pub/sub, a batch as one transaction.

Responsible for names of keys and channels (docs/sinks.md) and for exactly once: what a batch
changes and the position behind it are one MULTI. Refuses to wait for a server that does not answer,
and to keep anything that it cannot forget: hashes expire, streams are capped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    RedisError,
    WatchError,
)
from redis.retry import Retry

from recorder.errors import SinkDown, SinkRefused
from recorder.event import Quote, Ticker
from recorder.sinks import BookTop, Position, Record, document_of

HASHES: dict[str, type] = {"ticker": Ticker, "bbo": Quote, "book": BookTop}
"""What the latest of each instrument is kept of, by the name in its key."""

CONNECT_S, ANSWER_S = 2.0, 5.0
"""How long a server may take to accept, and to answer, unless the address says otherwise."""


class Layout(NamedTuple):
    """What goes where.

    Attributes:
        prefix: of every key and channel. hashes, streams, channels: their names by type.
        expire_ms: of a hash, behind its latest change. stream_length: about so many entries.
    """

    prefix: str
    hashes: dict[type, str]
    streams: dict[type, str]
    channels: dict[type, str]
    expire_ms: int
    stream_length: int


class RedisSink:
    """One Redis.

    Args:
        url: as redis-py takes it. layout: what goes where.
    """

    def __init__(
        self,
        url: str,
        layout: Layout,
        *,
        batch_rows: int,
        batch_seconds: float,
        history_seconds: float,
    ) -> None:
        self.batch_rows = batch_rows
        self.batch_seconds = batch_seconds
        self.history_seconds: float | None = history_seconds
        self.refused = 0
        self.wants: frozenset[type] | None = frozenset(
            {**layout.hashes, **layout.streams, **layout.channels}
        )
        self._layout = layout
        self._stands: Position | None = None
        self._capture = self._position_key = ""
        # Zero retries: the runner decides when, and a server that is down must be told at once.
        self._client: Redis = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            client_name="okx-recorder",
        )

    def open(self, capture: str) -> Sequence[Position | None]:
        """Ask the server where it stands."""
        self._capture = capture
        self._position_key = f"{self._layout.prefix}:position:{capture}"
        try:
            self._stands = _read(self._client.get(self._position_key))
        except RedisError as error:
            raise _told(error) from None
        return [self._stands]

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Apply a batch and its position, all of it or nothing."""
        stands = self._stands
        if stands is not None:
            records = [item for item in records if not stands.has(item.seq, item.index)]
        try:
            with self._client.pipeline(transaction=True) as made:
                pipe: Any = made  # parts of the library are not typed
                pipe.watch(self._position_key)
                if _read(pipe.get(self._position_key)) != stands:
                    raise SinkDown(
                        "expected Redis to stand where it was left, but its data is another's or "
                        "gone; going on from where it stands"
                    )
                pipe.multi()
                self._add(pipe, records)
                if position is not None:
                    pipe.set(self._position_key, msgspec.json.encode(position))
                pipe.execute()
        except WatchError:
            raise SinkDown(
                "expected to be the only one to write this capture into Redis, but another did so "
                "meanwhile; end one of them, or let the first one go ahead"
            ) from None
        except RedisError as error:
            raise _told(error) from None
        if position is not None:
            self._stands = position

    def rewind(self, position: Position | None) -> None:
        """Stand at a position; what was streamed and published stays so."""
        try:
            if position is None:
                self._client.delete(self._position_key)
            else:
                self._client.set(self._position_key, msgspec.json.encode(position))
        except RedisError as error:
            raise _told(error) from None
        self._stands = position

    def close(self) -> None:
        """Close the connections; the next `open` makes new ones."""
        with suppress(Exception):
            self._client.close()

    def _add(self, pipe: Any, records: Sequence[Record]) -> None:
        """Add the commands of a batch; of a hash only the latest of the batch counts."""
        layout, latest = self._layout, {}
        for record in records:
            kind, instrument = type(record), getattr(record, "instrument", None)
            name = layout.hashes.get(kind)
            if name is not None:
                latest[f"{layout.prefix}:{name}:{instrument}"] = record
            stream, channel = layout.streams.get(kind), layout.channels.get(kind)
            if stream is None and channel is None:
                continue
            document = document_of(record)
            if stream is not None:
                pipe.xadd(
                    f"{layout.prefix}:stream:{stream}",
                    {"capture": self._capture, "event": document},
                    maxlen=layout.stream_length,
                    approximate=True,
                )
            if channel is not None:
                of = "" if instrument is None else f":{instrument}"
                pipe.publish(f"{layout.prefix}:{channel}{of}", document)
        for key, record in latest.items():
            pipe.hset(key, mapping=_fields(record))
            pipe.pexpire(key, layout.expire_ms)


def _fields(record: Record) -> dict[str, str]:
    """Return every field as text; empty: the venue sent none."""
    fields = msgspec.structs.asdict(record)
    return {name: "" if value is None else str(value) for name, value in fields.items()}


_decode_position = msgspec.json.Decoder(Position).decode


def _read(content: Any) -> Position | None:
    return None if content is None else _decode_position(content)


def _told(error: RedisError) -> SinkDown | SinkRefused:
    """Return what an error of the driver means, in one line."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, AuthenticationError | NoPermissionError):
        return SinkRefused(f"expected Redis to take commands, but it refuses: {words}")
    return SinkDown(f"expected Redis to take commands, but: {words}")
