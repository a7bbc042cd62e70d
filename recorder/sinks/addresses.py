"""Addresses of sinks: `timescale:postgresql://…`, `redis://…`, `module:NAME`.

Responsible for the table of schemes, for what is said about an address before anything connects,
and for keeping what is secret in one out of every word that is shown or kept. Refuses to connect.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, quote, unquote, urlencode

from recorder.errors import UsageError
from recorder.sinks import Sink

_SECRET_NAME = re.compile(r"pass|secret|token|key|auth|credential", re.IGNORECASE)
_NOT_SECRET = frozenset({"passfile", "password_file", "sslkey"})  # paths of files
_WORD = re.compile(r"(\bpass\w*\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)
"""A password in words of libpq, which are refused."""
_MASK = "***"
_HINT = "write timescale:postgresql://USER@HOST/DATABASE, redis://HOST:6379/0 or module:MODULE:NAME"


class _Scheme(NamedTuple):
    """How the sinks of one scheme are made.

    Attributes:
        module: holds `make(address)`. library: what it cannot do without. extra: what brings it.
    """

    module: str
    library: str | None
    extra: str | None


_SCHEMES = {
    "timescale": _Scheme("recorder.sinks.timescale", "psycopg", "pg"),
    "redis": _Scheme("recorder.sinks.redis", "redis", "redis"),
    "rediss": _Scheme("recorder.sinks.redis", "redis", "redis"),
    "unix": _Scheme("recorder.sinks.redis", "redis", "redis"),
    "module": _Scheme("recorder.sinks.module", None, None),
}


class Address(NamedTuple):
    """An address taken apart.

    Attributes:
        scheme: before the first colon; rest: behind it, without our options, e.g. what a driver
            understands. options: what stands behind `?`, each once.
        text: the whole of it, secrets and all; `masked` is for people.
    """

    scheme: str
    rest: str
    options: dict[str, str]
    text: str

    @property
    def masked(self) -> str:
        """The address without what is secret."""
        return masked(self.text)

    def scrub(self, words: str) -> str:
        """Take what is secret in this address out of a sentence, such as a driver's."""
        for secret in secrets_of(self.text):
            words = words.replace(secret, _MASK)
        return words


def parse_address(text: str) -> Address:
    """Take the address of a sink apart.

    Raises:
        UsageError: no such scheme, or an option twice. Never holds what is secret in it.
    """
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not rest or scheme not in _SCHEMES:
        raise UsageError(f"expected the address of a sink, received {masked(text)!r}; {_HINT}")
    body, _, query = rest.partition("?")
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in options:
            raise UsageError(
                f"expected each option of a sink once, received {name} twice in {masked(text)!r}"
            )
        options[name] = value
    return Address(scheme, body, options, text)


def sink_of(text: str) -> Sink:
    """Return the sink at an address; nothing is connected to.

    Raises:
        UsageError: no such address or option, or a library is missing.
    """
    address = parse_address(text)
    module, library, extra = _SCHEMES[address.scheme]
    if library is not None and find_spec(library) is None:
        raise UsageError(
            f"expected the library {library} for {address.masked}, but it is not installed; "
            f"run: pip install 'okx-recorder[{extra}]'"
        )
    make = cast(Callable[[Address], Sink], import_module(module).make)
    try:
        return make(address)
    except UsageError as error:
        raise UsageError(address.scrub(str(error))) from None


def masked(text: str) -> str:
    """Return an address without what is secret: `postgresql://me:***@db/market`."""
    head, mark, query = _halves(text)
    start = head.find("://")
    if start < 0:
        head = _WORD.sub(rf"\1{_MASK}", head)
    elif "@" in head:  # also where it is no proper address: everything before the @
        user, _, host = head[start + 3 :].rpartition("@")
        name, colon, _ = user.partition(":")
        head = f"{head[: start + 3]}{name}{colon}{_MASK if colon else ''}@{host}"
    if not mark:
        return head
    pairs = [
        f"{name}{equals}{_MASK if _is_secret(name) and value else value}"
        for name, equals, value in (part.partition("=") for part in query.split("&"))
    ]
    return head + mark + "&".join(pairs)


def secrets_of(text: str) -> list[str]:
    """Return the secret parts of an address, as written and as meant, the longest first."""
    head, _, query = _halves(text)
    found: set[str] = set()
    start = head.find("://")
    if start < 0:
        found |= {match[2] for match in _WORD.finditer(head)}
    elif "@" in head:
        _, colon, password = head[start + 3 :].rpartition("@")[0].partition(":")
        if colon:
            found |= {password, unquote(password)}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if _is_secret(name):
            found |= {value, unquote(value), unquote(value.replace("+", " "))}
    return sorted((item for item in found if item), key=lambda item: (-len(item), item))


def _halves(text: str) -> tuple[str, str, str]:
    """Part an address at its `?`, but for one in a password that should have been `%3F`."""
    head, mark, query = text.partition("?")
    at = text.rfind("@")
    _, colon, rest = head.partition("://")[2].partition(":")
    if not colon or "@" in head or at < 0 or rest.partition("/")[0].isdigit():
        return head, mark, query
    host, mark, query = text[at:].partition("?")
    return text[:at] + host, mark, query


def with_options(url: str, options: dict[str, str]) -> str:
    """Return an address with options behind `?` again, for a driver that takes them there."""
    # Not urlunsplit: it takes the slashes from `postgresql:///market`; and libpq knows no `+`.
    return f"{url}?{urlencode(options, quote_via=quote)}" if options else url


def number_option(
    options: dict[str, str], name: str, default: float, *, least: float, whole: bool = False
) -> float:
    """Take a number out of the options.

    Raises:
        UsageError: it is none, or below `least`.
    """
    text = options.pop(name, None)
    if text is None:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    if not least <= value < float("inf"):
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"expected {name} of a sink as {kind} of at least {least:g}, got {text!r}")
    return value


def _is_secret(name: str) -> bool:
    return name not in _NOT_SECRET and _SECRET_NAME.search(name) is not None
