"""Faults in one line: the short form of the scenario language, as options of commands take it.

    gap:books:BTC-USDT@p=0.001        delay:trades@p=0.01,seconds=0.5        disconnect@after=30

Responsible for reading it and for saying it. Refuses to know what a fault does: `okx.faults` lists
the kinds and their keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import msgspec

from recorder.errors import UsageError
from recorder.okx.faults import AnyFault, Fault, Scenario, kinds, name_of

WORDS = {"drop": "lose", "duplicate": "repeat", "stall": "hold", "disconnect": "cut"}
"""Other names that the short form takes. A scenario's `drop` and `stall` are about handshakes,
which one line is never about."""

_PAIRS = re.compile(r",(?=[a-z_]+=)")
_FORM = "KIND[:CHANNEL[:INSTRUMENT]][@KEY=VALUE,…], e.g. gap:books:BTC-USDT@p=0.001"


def parse_fault(text: str) -> AnyFault:
    """Read one fault.

    Raises:
        UsageError: an unknown kind or key, or a value that cannot be.
    """
    place, at, rest = text.strip().partition("@")
    word, *about = place.split(":")
    name = WORDS.get(word, word)
    if name not in kinds():
        near = get_close_matches(word, [*kinds(), *WORDS], n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise UsageError(
            f"expected a fault as {_FORM}, received the kind {word!r}{hint}; the kinds are "
            f"{', '.join([*WORDS, *(kind for kind in kinds() if kind not in WORDS)])}"
        )
    said: dict[str, Any] = {"do": name}
    if len(about) > 2 or (at and not rest):
        raise UsageError(f"expected a fault as {_FORM}, received {text!r}")
    said |= dict(zip(("channel", "instrument"), about, strict=False))
    said = {key: value for key, value in said.items() if value}
    for pair in _PAIRS.split(rest) if rest else ():
        key, equals, value = pair.partition("=")
        if not equals or key in said:
            raise UsageError(f"expected a fault as {_FORM}, each key once, received {text!r}")
        said[key] = value
    try:
        fault: AnyFault = msgspec.convert(said, AnyFault, strict=False)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UsageError(f"expected a fault as {_FORM}, received {text!r}: {error}") from error
    return fault


def scenario_of(
    faults: Scenario | Iterable[str | Fault],
    *,
    seed: int | None = None,
    heal: float | None = 1.0,
) -> Scenario:
    """Return a scenario of these faults.

    Args:
        faults: short forms or faults; or a scenario, which keeps its own `heal`, and its own seed
            unless one is given.
        seed, heal: as in `Scenario`.

    Raises:
        UsageError: a short form that cannot be read.
    """
    if isinstance(faults, Scenario):
        return faults if seed is None else msgspec.structs.replace(faults, seed=seed)
    read: list[Any] = [parse_fault(item) if isinstance(item, str) else item for item in faults]
    return Scenario(faults=tuple(read), seed=seed, heal=heal)


def say_fault(fault: Fault) -> str:
    """Return the short form of a fault, as `parse_fault` reads it."""
    place = [name_of(fault), fault.channel or "", fault.instrument or ""]
    shown = [
        f"{field.name}={value}"
        for field in msgspec.structs.fields(fault)
        if field.name not in ("channel", "instrument")
        and (value := getattr(fault, field.name)) != field.default
    ]
    return ":".join(place).rstrip(":") + ("@" + ",".join(shown) if shown else "")
