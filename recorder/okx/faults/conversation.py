"""One connection of a venue on which a scenario's faults happen.

Responsible for when each fault of a `faults.Scenario` comes and what the client gets to see then.
Refuses to own a socket or a clock, and to know what a venue answers in good days (that is
`okx.exchange`, which it wraps).

Theory of operation. A `FaultyConversation` is made per socket, over one `Faults`. The shell
hands it texts (`receive`) and data pushes (`push`), calls `tick` at `deadline`, and carries the
actions out in order. Faults that come by themselves are looked for at every call; the others
where they apply.
"""

from __future__ import annotations

import heapq
from typing import Any, TypeVar

import msgspec

from recorder.clock import NS_PER_SECOND
from recorder.okx import faults as kinds
from recorder.okx.exchange import Close, Conversation, Reply, Send, Started, Stopped
from recorder.okx.exchange_frames import (
    CLOSE_REASONS,
    MESSAGES,
    Argument,
    argument_key,
    connection_count,
    error,
    service_notice,
    unknown_argument,
)
from recorder.okx.faults import Fault
from recorder.okx.faults.on_push import PushFaults
from recorder.okx.faults.plan import (
    Action,
    Cut,
    Faults,
    Hang,
    Made,
    Pace,
    Restart,
    SendPieces,
    is_about,
    is_about_subject,
    size_of,
    stops,
    subject_of,
)
from recorder.okx.faults.pushes import message_of

F = TypeVar("F", bound=Fault)
_WHOLE_REQUEST = ("60012", "60014", "60019")


class FaultyConversation:
    """A conversation with faults.

    Args:
        conversation: what the venue says in good days.
        faults: the scenario's state.
        number: what the shell calls this connection, for `Made`.
        now_ns: time of the handshake, by the shell's monotonic clock.

    Attributes:
        is_over: nothing will be sent any more.
        held_bytes: of messages that are held back, or wait for their time.
    """

    def __init__(
        self, conversation: Conversation, faults: Faults, number: int, now_ns: int
    ) -> None:
        self.conversation = conversation
        self.is_over = False
        self.held_bytes = 0
        self._faults = faults
        self._number = number
        self._on_endpoint = faults.opened(conversation.endpoint, now_ns)
        self._opened = now_ns
        self._pushes = 0
        self._done: set[int] = set()
        self._live: dict[tuple[tuple[str, str], ...], Argument] = {}
        self._push_faults = PushFaults(faults, self._after, self._made)
        self._requests = 0
        self._later: list[tuple[int, int, Action]] = []
        self._count = 0
        self._held_until: int | None = None
        self._held: list[Action] = []
        self._lists: dict[Any, tuple[int, list[tuple[int, int, Any]]]] = {}
        self._pieces = (0, 0)  # pieces per message, until when

    # --- what happens -----------------------------------------------------------------------

    def receive(self, text: bytes, now_ns: int, wall_ns: int | None = None) -> list[Action]:
        """Answer one text message; arguments as of `Conversation.receive`."""
        if self.is_over:
            return []
        self._requests += 1
        request = _request(text)
        operation = request.get("op") if request is not None else None
        answered = self._answer_wrongly(operation, request or {}, now_ns)
        if answered is not None:
            return self._out(answered, now_ns)
        skew = round(self._faults.scenario.clock_skew * NS_PER_SECOND)
        clock = (now_ns if wall_ns is None else wall_ns) + skew
        replies = self.conversation.receive(text, now_ns, clock)
        request_id = request.get("id") if request is not None else None
        return self._out(self._spoil(replies, request_id, now_ns), now_ns)

    def push(
        self,
        channel: str,
        instrument: str,
        payload: bytes,
        now_ns: int,
        number: int | None = None,
    ) -> list[Action]:
        """Send one data push, unless a fault changes it.

        Args:
            channel, instrument: of its argument; `instrument` "" where it has none.
            number: what the dice of faults with a `p` are thrown by (the `seq` of a recorded
                push); None: its place on this connection.
        """
        if self.is_over:
            return []
        self._pushes += 1
        self.conversation.pushed(now_ns)
        if number is None:
            number = (self._number << 40) + self._pushes
        subject = (channel, instrument)
        actions = self._fallen_due(now_ns)  # what was late comes before what follows it
        mine = [item for item in self._mine(kinds.OnPush) if self._can_happen(item[2])]
        sent = self._push_faults.sent(mine, subject, payload, now_ns, number)
        actions += [Send(item) for item in sent]
        for due, index, fault in self._mine(kinds.ByItself):
            is_meant = fault.p is not None and due <= now_ns and is_about_subject(fault, subject)
            if is_meant and self._can_happen(fault) and self._faults.strikes(index, fault, number):
                self._faults.take(index, self._made(fault, now_ns))
                actions += self._happen(fault, now_ns)
        return self._out(actions, now_ns)

    def tick(self, now_ns: int) -> list[Action]:
        """Do what has become due."""
        if self.is_over:
            return []
        return self._out(list(self.conversation.tick(now_ns)), now_ns)

    @property
    def deadline(self) -> int | None:
        """When `tick` may have something to do, None: never."""
        if self.is_over:
            return None
        times = [item[0] for item in self._later[:1]]
        if self._held_until is not None:
            times.append(self._held_until)
        idle = self.conversation.deadline
        if idle is not None:
            times.append(idle)
        for due, _, fault in self._mine(kinds.ByItself):
            if fault.p is None and self._can_happen(fault):
                times.append(due)
                break
        return min(times, default=None)

    # --- faults that come by themselves -----------------------------------------------------

    def _out(self, actions: list[Action], now_ns: int) -> list[Action]:
        """Add what has become due, hold back what must wait, end after the end."""
        actions += self._fallen_due(now_ns)
        for due, index, fault in self._mine(kinds.ByItself):
            if due > now_ns:
                break
            if fault.p is None and index not in self._done and self._can_happen(fault):
                self._done.add(index)
                self._faults.take(index, self._made(fault, now_ns))
                actions += self._happen(fault, now_ns)
        if self._pieces[0] and now_ns < self._pieces[1]:
            actions = [
                SendPieces(item.payload, self._pieces[0]) if isinstance(item, Send) else item
                for item in actions
            ]
        if self._held_until is not None:
            if now_ns < self._held_until:
                held = [item for item in actions if not isinstance(item, _SILENT)]
                self._held += held
                self.held_bytes += sum(map(size_of, held))
                return [item for item in actions if isinstance(item, _SILENT)]
            self.held_bytes -= sum(map(size_of, self._held))
            actions = self._held + actions
            self._held, self._held_until = [], None
        for place, action in enumerate(actions):
            if isinstance(action, Close | Cut | Hang):
                self.is_over = True
                return actions[: place + 1]
        return actions

    def _fallen_due(self, now_ns: int) -> list[Action]:
        due: list[Action] = []
        while self._later and self._later[0][0] <= now_ns:
            due.append(heapq.heappop(self._later)[2])
            self.held_bytes -= size_of(due[-1])
        return due

    def _happen(self, fault: Any, now_ns: int) -> list[Action]:
        """Return what a fault of its own does."""
        wait = now_ns + round(getattr(fault, "seconds", 0) * NS_PER_SECOND)
        match fault:
            case kinds.CloseWith(code=code, reason=reason):
                return [Close(code, CLOSE_REASONS.get(code, "") if reason is None else reason)]
            case kinds.CutOff(how=how):
                return [Cut(how, b'{"arg":{"channel":"cut"},"data":["never whole"]}')]
            case kinds.GoSilent():
                return [Hang()]
            case kinds.Announce(close_after=close_after, code=code):
                at = now_ns + round(close_after * NS_PER_SECOND)
                self._after(at, Close(code, CLOSE_REASONS.get(code, "")))
                return [Send(service_notice(self.conversation.connection_id))]
            case kinds.Drip(bytes_per_second=rate):
                self._after(wait, Pace(None))
                return [Pace(rate)]
            case kinds.Hold():
                self._held_until = wait
                return []
            case kinds.Split(pieces=pieces):
                self._pieces = (pieces, wait)
                return []
            case kinds.Evict():
                meant = [item for item in self._live.values() if is_about(fault, item)]
                found = [reply for item in meant for reply in self.conversation.evict(item)]
                for item in meant:
                    self._live.pop(argument_key(item), None)
                return list(found)
            case kinds.ResetSequence(instrument=instrument):
                return [Restart(instrument)]
        return [message_of(fault)]

    def _mine(self, group: Any) -> list[tuple[int, int, Any]]:
        """Return (when, place, fault) of a group's faults left for this connection, by time."""
        version, found = self._lists.get(group, (-1, []))
        if version != self._faults.version:
            found = [
                (max(self._faults.due(fault), self._due(fault)), index, fault)
                for index, fault in self._faults.among(group)
                if index not in self._done and self._is_mine(fault)
            ]
            found.sort(key=lambda item: item[:2])
            self._lists[group] = (self._faults.version, found)
        return found

    def _has_come(self, index: int, fault: Fault, now_ns: int) -> bool:
        is_due = now_ns >= self._due(fault) and self._faults.is_time(fault, now_ns)
        is_due = is_due and self._can_happen(fault) and self._is_mine(fault)
        return is_due and self._faults.strikes(index, fault, (self._number << 40) + self._requests)

    def _due(self, fault: Fault) -> int:
        return self._opened + round((fault.after or 0) * NS_PER_SECOND)

    def _can_happen(self, fault: Fault) -> bool:
        """Say whether there is what a fault waits for beside a time."""
        has_come = fault.pushes is None or self._pushes >= fault.pushes
        if has_come and isinstance(fault, kinds.Evict):
            return any(is_about(fault, item) for item in self._live.values())
        return has_come

    def _is_mine(self, fault: Fault) -> bool:
        is_here = fault.endpoint in (None, self.conversation.endpoint)
        return is_here and fault.connection in (None, self._on_endpoint)

    # --- faults in answers ------------------------------------------------------------------

    def _answer_wrongly(
        self, operation: object, request: dict[str, Any], now_ns: int
    ) -> list[Action] | None:
        """Answer a whole request with a fault; None: nothing of the kind is due."""
        if operation not in ("subscribe", "unsubscribe", "login"):
            return None
        arguments = [item for item in request.get("args") or [] if isinstance(item, dict)]
        if self._take(kinds.NoAnswer, arguments, now_ns) is not None:
            return []
        request_id, ident = request.get("id"), self.conversation.connection_id
        if operation == "login":
            refused = self._take(kinds.LoginError, (), now_ns)
            if refused is None:
                return None
            said = error(MESSAGES.get(refused.code, ""), refused.code, ident, request_id)
            end = [Close(4001, CLOSE_REASONS[4001])] if refused.closes else []
            return [Send(said), *end]
        for index, fault in self._faults.among(kinds.AnswerError):
            is_meant = fault.code in _WHOLE_REQUEST and self._has_come(index, fault, now_ns)
            if is_meant and any(is_about(fault, item) for item in arguments):
                self._faults.take(index, self._made(fault, now_ns))
                return [Send(error(MESSAGES.get(fault.code, ""), fault.code, ident, request_id))]
        return None

    def _spoil(self, replies: list[Reply], request_id: str | None, now_ns: int) -> list[Action]:
        """Pass the venue's answers on, with the faults that are about them."""
        out: list[Action] = []
        for reply in replies:
            if isinstance(reply, Started):
                if self.conversation.holds(reply.argument):
                    out += self._start(reply)
            elif isinstance(reply, Stopped):
                self._live.pop(argument_key(reply.argument), None)
                trail = self._take(kinds.Trail, (reply.argument,), now_ns)
                if trail is None:
                    out.append(reply)
                else:
                    self._after(now_ns + round(trail.seconds * NS_PER_SECOND), reply)
            elif isinstance(reply, Send) and b'"event":"subscribe"' in reply.payload:
                out += self._spoil_ack(reply, request_id, now_ns)
            else:
                out.append(reply)
        return out

    def _start(self, reply: Started) -> list[Action]:
        """Begin an argument; what still trails of it ends first."""
        key = argument_key(reply.argument)
        ended = [item for item in self._later if stops(item[2], key)]
        self._later = [item for item in self._later if not stops(item[2], key)]
        heapq.heapify(self._later)
        self._live[key] = reply.argument
        channel, instrument = subject_of(reply.argument)
        self._push_faults.begin((channel, instrument))
        return [*(item[2] for item in ended), reply]

    def _spoil_ack(self, acked: Send, request_id: str | None, now_ns: int) -> list[Action]:
        argument: Argument = msgspec.json.decode(acked.payload)["arg"]
        about, ident = (argument,), self.conversation.connection_id
        instead = self._take(kinds.AnswerError, about, now_ns)
        if instead is not None:
            return [*self._drop(argument), self._error(instead.code, argument, request_id)]
        taken_back = self._take(kinds.AckThenError, about, now_ns)
        if taken_back is not None:
            refused = self._error(taken_back.code, argument, request_id)
            return [acked, *self._drop(argument), refused]
        too_many = self._take(kinds.AckThenTooMany, about, now_ns)
        if too_many is not None:
            told = connection_count(argument["channel"], too_many.count, ident, is_refused=True)
            return [acked, *self._drop(argument), Send(told)]
        repeated = self._take(kinds.RepeatAck, about, now_ns)
        if repeated is not None:
            return [acked] * repeated.count
        late = self._take(kinds.LateAck, about, now_ns)
        if late is not None:
            self._after(now_ns + round(late.seconds * NS_PER_SECOND), acked)
            return []
        return [acked]

    def _drop(self, argument: Argument) -> list[Reply]:
        """Take an argument from the venue's books; `Stopped` only if the feed had begun it."""
        stopped = self.conversation.drop(argument)
        return stopped if self._live.pop(argument_key(argument), None) is not None else []

    def _error(self, code: str, argument: Argument, request_id: str | None) -> Send:
        text = unknown_argument(argument) if code == "60018" else MESSAGES.get(code, "")
        return Send(error(text, code, self.conversation.connection_id, request_id))

    # --- bookkeeping ------------------------------------------------------------------------

    def _take(
        self, kind: type[F], arguments: tuple[Argument, ...] | list[Argument], now_ns: int
    ) -> F | None:
        """Return a fault of this kind that is due and about one of the arguments, used up."""
        for index, fault in self._faults.among(kind):
            is_meant = not arguments or any(is_about(fault, item) for item in arguments)
            if is_meant and self._has_come(index, fault, now_ns):
                about = " ".join(subject_of(arguments[0])).strip() if arguments else ""
                self._faults.take(index, self._made(fault, now_ns, about))
                found: F = fault
                return found
        return None

    def _made(self, fault: Fault, now_ns: int, about: str = "") -> Made:
        shown = {
            key: value
            for key in type(fault).__struct_fields__
            if key not in Fault.__struct_fields__ and (value := getattr(fault, key)) is not None
        }
        detail = " ".join([about, *(f"{key}={value}" for key, value in shown.items())]).strip()
        endpoint = self.conversation.endpoint
        return Made(now_ns, kinds.name_of(fault), endpoint, self._number, detail)

    def _after(self, at_ns: int, action: Action) -> None:
        self._count += 1
        self.held_bytes += size_of(action)
        heapq.heappush(self._later, (at_ns, self._count, action))


_SILENT = (Started, Stopped, Pace, Restart)  # actions a client does not see by themselves


def _request(text: bytes) -> dict[str, Any] | None:
    try:
        body = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(body, dict) or not isinstance(body.get("args"), list | None):
        return None
    return body
