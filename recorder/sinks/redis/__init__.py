"""`redis://…`: the latest of everything in a Redis, capped streams, and pub/sub.

Responsible for the options in the address. Refuses to be imported without need: the library is an
extra (`redis`).
"""

from __future__ import annotations

from pathlib import Path

from recorder.errors import UsageError
from recorder.event import VIEW_NAMES
from recorder.sinks import BookTop, Missed
from recorder.sinks.addresses import Address, number_option, with_options
from recorder.sinks.redis.sink import HASHES, Layout, RedisSink

__all__ = ["make"]

_DRIVER = (
    "db", "username", "password", "client_name", "protocol", "socket_timeout",
    "socket_connect_timeout", "ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile",
    "ssl_check_hostname",
)  # fmt: skip
_OURS = (
    "hashes", "streams", "publish", "prefix", "expire", "stream_length", "history",
    "batch_rows", "batch_seconds", "password_file",
)  # fmt: skip
_TYPES: dict[str, type] = {name: kind for kind, name in VIEW_NAMES.items()}
_TYPES |= {"book_tops": BookTop, "missed": Missed}


def make(address: Address) -> RedisSink:
    """Return the sink at an address; nothing is connected to.

    Raises:
        UsageError: an option that cannot be.
    """
    options = dict(address.options)
    unknown = [name for name in options if name not in (*_DRIVER, *_OURS)]
    if unknown or not address.rest.startswith("//"):
        raise UsageError(
            f"expected redis://HOST:PORT/DB with options out of {', '.join(_OURS)}, "
            f"received {address.masked!r}"
        )
    hashes = _names(options.pop("hashes", ",".join(HASHES)), HASHES, "hashes")
    streams = _names(options.pop("streams", "trades,candles"), _TYPES, "streams")
    publish = _names(
        options.pop("publish", "trades,candles,tickers,quotes"), _TYPES, "publish"
    )  # fmt: skip
    layout = Layout(
        prefix=options.pop("prefix", "okx"),
        hashes={HASHES[name]: name for name in hashes},
        streams={_TYPES[name]: name for name in streams},
        channels={_TYPES[name]: name for name in publish},
        expire_ms=round(1000 * number_option(options, "expire", 60, least=0.001)),
        stream_length=int(number_option(options, "stream_length", 10_000, least=1, whole=True)),
    )
    history = number_option(options, "history", 600, least=0)
    rows = number_option(options, "batch_rows", 1_000, least=1, whole=True)
    seconds = number_option(options, "batch_seconds", 0.02, least=0)
    password_file = options.pop("password_file", None)
    if password_file is not None:
        try:
            options["password"] = Path(password_file).read_text().strip()
        except OSError as error:
            raise UsageError(
                f"expected a file with the password of {address.masked!r}: {error.strerror} "
                f"({password_file})"
            ) from None
    url = with_options(f"{address.scheme}:{address.rest}", options)
    try:
        return RedisSink(
            url, layout, batch_rows=int(rows), batch_seconds=seconds, history_seconds=history
        )
    except ValueError as error:
        raise UsageError(
            f"expected an address of Redis, received {address.masked!r}: {error}"
        ) from (None)


def _names(text: str, known: dict[str, type], option: str) -> list[str]:
    names = list(dict.fromkeys(name for name in text.split(",") if name))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"expected {option} of a sink out of {', '.join(sorted(known))}; "
            f"received {', '.join(unknown)}"
        )
    return names
