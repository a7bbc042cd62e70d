"""Faults of the venue as data: what goes wrong, where, when and how often.

Responsible for the scenario language and its reading from TOML or JSON text. Refuses to make a
fault happen: `okx.faults.conversation` does, for any shell that owns the sockets; and to draw
scenarios: `okx.faults.drawn` does. Tests of any OKX client can use all three.

A scenario in TOML::

    seed = 7
    clock_skew = 0.0            # seconds the venue's clock is ahead of the client's

    [rules]                     # any of `exchange_rules.Rules`
    requests_per_hour = 480

    [[faults]]
    do = "close"                # the kind, see the classes below
    code = 4006
    endpoint = "public"         # where: an endpoint, a connection of it, a channel, an instrument
    after = 2.5                 # when: seconds after that connection opened
    times = 3                   # how often; 0: every time

Where and when are the same keys for every kind (`Fault`). Kinds come in four groups: of a
handshake, by themselves on an open connection, in answer to a request, and on a push. What OKX
really does then is told by its documentation ("WebSocket", "Error Code") or by users' reports; the
rest is what networks do.
"""

from __future__ import annotations

import tomllib
from typing import TypeAlias, get_args

import msgspec

from recorder.errors import UsageError
from recorder.okx.exchange_rules import Rules


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Where and when; every key that is left out holds for all.

    Attributes:
        endpoint: `public`, `business`, `private`; `rest` for HTTP requests (`refuse` only).
        connection: number of the connection on its endpoint, from 0.
        channel, instrument: which arguments it is about (`instrument`: instId or sprdId).
        at: not before so many seconds after the first handshake (or REST request) of all.
        after: not before so many seconds after the connection opened.
        pushes: not before so many data pushes on the connection.
        times: how often in all, on one connection at most once unless it answers requests or
            changes pushes; 0 means every time; left out: once, and every time with a `p`.
        p: with this probability, each time it could happen; what comes by itself could happen at
            every data push. Which times, is decided by the scenario's seed (`okx.faults.chance`).
    """

    endpoint: str | None = None
    connection: int | None = None
    channel: str | None = None
    instrument: str | None = None
    at: float | None = None
    after: float | None = None
    pushes: int | None = None
    times: int | None = None
    p: float | None = None

    def __post_init__(self) -> None:
        if self.p is not None and not 0 <= self.p <= 1:
            raise ValueError(f"expected p between 0 and 1, received {self.p}")
        for name in ("times", "count", "by", "bytes", "seconds", "away"):
            value = getattr(self, name, None)
            if value is not None and not 0 <= value <= 1e9:
                raise ValueError(f"expected {name} of 0 to 1e9, received {value}")

    @property
    def uses(self) -> int | None:
        """How often it may happen in all, None: every time."""
        if self.times is None:
            return 1 if self.p is None else None
        return self.times or None


# --- at the handshake --------------------------------------------------------------------------


class Refuse(Fault, frozen=True, tag="refuse"):
    """Answer the handshake with an HTTP status; `retry_after` adds that header, seconds."""

    status: int = 503
    retry_after: int | None = None


class Drop(Fault, frozen=True, tag="drop"):
    """Take the TCP connection and end it without an answer."""


class Stall(Fault, frozen=True, tag="stall"):
    """Take the TCP connection and never answer the handshake."""


# --- by itself, on an open connection ----------------------------------------------------------


class CloseWith(Fault, frozen=True, tag="close"):
    """Close with a code; `reason` None: the venue's words for it (4001 to 4009).

    `away`: in a recording, seconds until the client is back; a live one decides that itself.
    """

    code: int = 4006
    reason: str | None = None
    away: float = 1.0


class CutOff(Fault, frozen=True, tag="cut"):
    """End the TCP stream without a close frame (1006 at the client).

    `how`: `eof` when all was sent, `inside` a frame, or `reset`, which may destroy what the
    client has not read. `away`: as of `close`.
    """

    how: str = "eof"
    away: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("how", self.how, ("eof", "inside", "reset"))


class GoSilent(Fault, frozen=True, tag="silence"):
    """Half-open: neither send nor read anything any more, and never close."""


class Announce(Fault, frozen=True, tag="notice"):
    """Send notice 64008, and close `close_after` seconds later."""

    close_after: float = 60.0
    code: int = 4006


class Drip(Fault, frozen=True, tag="drip"):
    """Send slowly, `bytes_per_second`, in small pieces, for some seconds."""

    bytes_per_second: int = 20_000
    seconds: float = 2.0


class Hold(Fault, frozen=True, tag="hold"):
    """Hold everything back for some seconds, then send it at once: a stall and a burst."""

    seconds: float = 1.0


class Split(Fault, frozen=True, tag="split"):
    """Send each message in several WebSocket frames, for some seconds."""

    pieces: int = 3
    seconds: float = 1.0


class Evict(Fault, frozen=True, tag="evict"):
    """Take arguments away with `unsubscribe` events that nobody asked for."""


class Say(Fault, frozen=True, tag="say"):
    """Send a text message as it stands: broken JSON, a stray error, nothing at all."""

    text: str = ""


class SayHuge(Fault, frozen=True, tag="huge"):
    """Send one text message of so many bytes, a push of a channel nobody knows."""

    bytes: int = 1 << 20


class SayGarbled(Fault, frozen=True, tag="garbled"):
    """Send a text message that is not UTF-8."""


class SayBinary(Fault, frozen=True, tag="binary"):
    """Send a binary message of so many bytes."""

    bytes: int = 64


class BreakFraming(Fault, frozen=True, tag="break-framing"):
    """Send bytes that are no WebSocket frame; a client must close with 1002."""


class ResetSequence(Fault, frozen=True, tag="reset-sequence"):
    """Count the update numbers of a book anew from a low number (maintenance), everywhere."""


# --- in answer to a request --------------------------------------------------------------------


class LateAck(Fault, frozen=True, tag="late-ack"):
    """Acknowledge some seconds late: data comes before the ack."""

    seconds: float = 0.3


class RepeatAck(Fault, frozen=True, tag="repeat-ack"):
    """Acknowledge one argument so many times."""

    count: int = 3


class AckThenError(Fault, frozen=True, tag="ack-then-error"):
    """Acknowledge, then take it back with an error (60011, 64004, 64003 …)."""

    code: str = "60011"


class AckThenTooMany(Fault, frozen=True, tag="ack-then-too-many"):
    """Acknowledge, then `channel-conn-count-error`: the subscription is dead."""

    count: int = 30


class AnswerError(Fault, frozen=True, tag="error"):
    """Answer an error instead of the ack (60018, 64001, 64007; 60014: one for the request)."""

    code: str = "64007"


class NoAnswer(Fault, frozen=True, tag="no-answer"):
    """Leave a request unanswered."""


class LoginError(Fault, frozen=True, tag="login-error"):
    """Answer a login with an error; `closes`: close 4001 follows."""

    code: str = "63999"
    closes: bool = False


class Trail(Fault, frozen=True, tag="trail"):
    """Go on pushing for some seconds after the ack of an unsubscribe."""

    seconds: float = 1.0


# --- on a push ---------------------------------------------------------------------------------


class Gap(Fault, frozen=True, tag="gap"):
    """Lose so many updates of an incremental book on the way."""

    count: int = 1


class DeleteUnknown(Fault, frozen=True, tag="delete-unknown"):
    """Add the deletion of a price that is not in the book to an update; harmless, and seen."""


class OldFirst(Fault, frozen=True, tag="old-first"):
    """Make the first push after the ack look so many seconds old."""

    seconds: float = 3_600.0


class Lose(Fault, frozen=True, tag="lose"):
    """Lose so many pushes of an argument on the way, whatever they are."""

    count: int = 1


class Repeat(Fault, frozen=True, tag="repeat"):
    """Send a push again; of incremental books, where it is a gap, only if `channel` names one."""


class Reorder(Fault, frozen=True, tag="reorder"):
    """Send a push behind the next so many of its argument."""

    by: int = 1


class Delay(Fault, frozen=True, tag="delay"):
    """Send a push some seconds late, and behind it what follows of its argument meanwhile."""

    seconds: float = 1.0


class Corrupt(Fault, frozen=True, tag="corrupt"):
    """Change so many characters of a push, each into another printable one."""

    bytes: int = 1


class Rename(Fault, frozen=True, tag="rename"):
    """Send another `instId` inside the data than in the argument."""

    to: str = "RENAMED-USDT"


class NewField(Fault, frozen=True, tag="new-field"):
    """Add a field that no documentation knows."""


AtHandshake: TypeAlias = Refuse | Drop | Stall
ByItself: TypeAlias = (
    CloseWith
    | CutOff
    | GoSilent
    | Announce
    | Drip
    | Hold
    | Split
    | Evict
    | Say
    | SayHuge
    | SayGarbled
    | SayBinary
    | BreakFraming
    | ResetSequence
)
OnRequest: TypeAlias = (
    LateAck
    | RepeatAck
    | AckThenError
    | AckThenTooMany
    | AnswerError
    | NoAnswer
    | LoginError
    | Trail
)
OnPush: TypeAlias = (
    Gap | Lose | Reorder | Delay | Corrupt | DeleteUnknown | OldFirst | Repeat | Rename | NewField
)
AnyFault: TypeAlias = AtHandshake | ByItself | OnRequest | OnPush


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that shall go wrong.

    Attributes:
        faults: tried in this order.
        rules: the venue's limits and choices.
        clock_skew: seconds the venue's clock is ahead of the truth; above 30: logins expire.
        seed: what it was drawn from, and what decides the faults with a `p`.
        heal: in a recording, seconds after which a book that has broken gets a rebuilt snapshot,
            as if the client had subscribed anew; None (or `inf` in TOML): never.
    """

    faults: tuple[AnyFault, ...] = ()
    rules: Rules = msgspec.field(default_factory=Rules)
    clock_skew: float = 0.0
    seed: int | None = None
    heal: float | None = 1.0


def read_scenario(text: str) -> Scenario:
    """Read a scenario from TOML or, if it begins with `{`, JSON.

    Raises:
        UsageError: it is neither, or a key or value is unknown; the sentence names it.
    """
    is_json = text.lstrip().startswith("{")
    try:
        if is_json:
            return msgspec.json.decode(text.encode(), type=Scenario)
        return msgspec.convert(tomllib.loads(text), type=Scenario)
    except (msgspec.MsgspecError, tomllib.TOMLDecodeError, ValueError) as error:
        raise UsageError(
            f"expected a scenario of faults as {'JSON' if is_json else 'TOML'}, received one that "
            f"cannot be read: {error}; the kinds are {', '.join(kinds())}"
        ) from error


def write_scenario(scenario: Scenario) -> str:
    """Return a scenario as JSON text that `read_scenario` reads back as the same."""
    return msgspec.json.format(msgspec.json.encode(scenario)).decode()


def kinds() -> list[str]:
    """Return every kind of fault, as `do` names it."""
    return [name_of(kind) for kind in get_args(AnyFault)]


def name_of(fault: Fault | type[Fault]) -> str:
    """Return the `do` of a fault or of its class."""
    return str(fault.__struct_config__.tag)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"expected {name} as one of {', '.join(known)}, received {value!r}")
