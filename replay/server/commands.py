"""What may be said at `/replay`, and what is answered: the messages of the control socket.

Responsible for their form (docs/serve.md, "Control") and for telling in one sentence what is wrong
with a command. Refuses to obey any: `control` does.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias, get_args

import msgspec

from recorder.clock import NS_PER_SECOND, parse_time
from recorder.errors import UsageError
from recorder.okx.faults import AnyFault
from replay.ladder import Ladder
from replay.pace import Speed, parse_speed
from replay.server.status import ServeStatus
from replay.server.timeline import TimelinePart

TEXT_MAX = 64 << 10
DEPTH_MAX = 400
INTERVAL_MIN_MS = 20


class _Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True
):
    """Any command; `id` comes back in the answer."""

    id: str | int | None = None


class AskStatus(_Command, frozen=True, tag="status"):
    """How does the replay stand?"""


class Pause(_Command, frozen=True, tag="pause"):
    """Stand still."""


class Resume(_Command, frozen=True, tag="resume"):
    """Go on; start the clock where it waits for subscribers."""


class Step(_Command, frozen=True, tag="step"):
    """Send so many frames at once, then stand still."""

    frames: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 1_000_000:
            raise ValueError(f"expected 1 to 1,000,000 frames, received {self.frames}")


class Seek(_Command, frozen=True, tag="seek"):
    """Go on at a time (`to`: RFC 3339 or integer ns) or so many seconds further (`by`)."""

    to: str | int | None = None
    by: float | None = None

    def __post_init__(self) -> None:
        if (self.to is None) == (self.by is None):
            raise ValueError("expected either `to` (a time) or `by` (seconds of data time)")
        if self.by is not None and not abs(self.by) < 1e9:
            raise ValueError(f"expected less than 1e9 seconds, received {self.by}")
        _ = self.to_ns

    @property
    def to_ns(self) -> int | None:
        """The time to go to, ns; None where the command says how far."""
        if self.to is None or isinstance(self.to, int):
            return self.to
        try:
            return parse_time(self.to)
        except UsageError as error:
            raise ValueError(str(error)) from error

    @property
    def by_ns(self) -> int:
        """How far to go, ns of data time."""
        return round((self.by or 0) * NS_PER_SECOND)


class ChangeSpeed(_Command, frozen=True, tag="speed"):
    """Go on at this speed: a number above 0, or `max`."""

    speed: str | float

    def __post_init__(self) -> None:
        _ = self.value

    @property
    def value(self) -> Speed:
        """The speed as the schedule takes it."""
        try:
            return parse_speed(self.speed)
        except UsageError as error:
            raise ValueError(str(error)) from error


class Inject(_Command, frozen=True, tag="fault"):
    """Let something go wrong from now on; docs/faults.md has the kinds."""

    fault: AnyFault


class Describe(_Command, frozen=True, tag="describe"):
    """What is served?"""


class AskTimeline(_Command, frozen=True, tag="timeline"):
    """Send the timeline of the capture, in parts, as it becomes known."""


class Watch(_Command, frozen=True, tag="watch"):
    """Send the status every so often, with the ladder of an instrument if one is named."""

    every_ms: int = 200
    instrument: str | None = None
    depth: int = 20

    def __post_init__(self) -> None:
        if not INTERVAL_MIN_MS <= self.every_ms <= 60_000:
            raise ValueError(
                f"expected `every_ms` from {INTERVAL_MIN_MS} to 60000, received {self.every_ms}"
            )
        if not 1 <= self.depth <= DEPTH_MAX:
            raise ValueError(f"expected a depth from 1 to {DEPTH_MAX}, received {self.depth}")


class Unwatch(_Command, frozen=True, tag="unwatch"):
    """Send no more statuses unasked."""


Command: TypeAlias = (
    AskStatus
    | Pause
    | Resume
    | Step
    | Seek
    | ChangeSpeed
    | Inject
    | Describe
    | AskTimeline
    | Watch
    | Unwatch
)
OPERATIONS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in get_args(Command))


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    """Anything the server says."""


class Done(_Message, frozen=True, tag="done"):
    """The answer to a command that was obeyed.

    Attributes:
        op, id: of the command.
        status: how the replay stands behind it, as `GET /replay/status` tells it.
    """

    op: str
    status: ServeStatus
    id: str | int | None = None


class Refused(_Message, frozen=True, tag="error"):
    """The answer to a command that was not obeyed: one sentence says why."""

    message: str
    op: str | None = None
    id: str | int | None = None


class Update(_Message, frozen=True, tag="update"):
    """What a watcher is sent: the status, and the ladder if one is asked for and there is one."""

    status: ServeStatus
    ladder: Ladder | None = None


class TimelineUpdate(_Message, frozen=True, tag="timeline"):
    """What became known of the timeline."""

    timeline: TimelinePart


class Description(_Message, frozen=True, tag="description"):
    """What is served: the answer to `describe`.

    Attributes:
        capture: name of the folder. url: base address for clients.
        arguments: known arguments of each endpoint. instruments: those with books to look at.
    """

    capture: str
    url: str
    arguments: dict[str, list[dict[str, str]]]
    instruments: list[str]
    id: str | int | None = None


Message: TypeAlias = Done | Refused | Update | TimelineUpdate | Description


class _Head(msgspec.Struct, frozen=True):
    """What of a refused command can be told back."""

    op: Any = None
    id: Any = None

    NOTHING: ClassVar[_Head]


_Head.NOTHING = _Head()
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_decode_head = msgspec.json.Decoder(_Head).decode


def read_command(text: bytes) -> Command | Refused:
    """Return the command, or the answer that says in one sentence what is wrong with it."""
    try:
        return _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        head = _head_of(text)
        op = head.op if isinstance(head.op, str) else None
        number = head.id if isinstance(head.id, str | int) else None
        if op in OPERATIONS:
            message = f"expected a {op} command in its form, received otherwise: {error}"
        elif op is None:
            message = (
                f'expected a command as a JSON object like {{"op": "status"}}, received '
                f"{text[:80].decode('utf-8', 'replace')!r}"
            )
        else:
            message = f"expected op as one of {', '.join(OPERATIONS)}, received {op[:80]!r}"
        return Refused(message=message, op=op, id=number)


def _head_of(text: bytes) -> _Head:
    try:
        return _decode_head(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Head.NOTHING
