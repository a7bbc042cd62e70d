"""Login of one conversation: when it is asked for, what an answer to it means, when to give up.

Responsible for these, and for saying in words what a refusal's likely cause is. Refuses to see a
credential: it only says that a login is due, and the shell builds, masks and sends the request.

    NOT_WANTED    DUE ──LogIn──▶ ASKED ──event login──▶ DONE
                   ▲               │ no answer, a code that may pass
                   └──── delay ────┴── any other code, or too many tries ──▶ FAILED
"""

from __future__ import annotations

from enum import Enum

from recorder.clock import NS_PER_SECOND
from recorder.event import LoggedIn, VenueError

LOGIN_CLOSE = 4001
"""Close code of a failed login (OKX API docs, "Close Frame")."""

TRIES = 4
"""Logins in a row that may fail, on whatever connection, before it is given up."""

_ANSWER_WAIT = 10 * NS_PER_SECOND
_DELAY = 2 * NS_PER_SECOND
_TOO_FAST_DELAY = 10 * NS_PER_SECOND

_ALREADY_DONE = ("60010", "60031")
_MAY_PASS = {
    "4001": _DELAY,
    "60006": _DELAY,  # late on a slow line, or a clock that is off
    "60014": _TOO_FAST_DELAY,
    "60023": _TOO_FAST_DELAY,
    "63999": _DELAY,
    "64007": _DELAY,
    "no answer": 0,
}
"""Codes after which another try can succeed, and the first wait; it doubles."""

_CAUSES = {
    "60001": "the API key is empty",
    "60002": "the signature is empty",
    "60003": "the passphrase is empty",
    "60004": "the timestamp is not understood",
    "60005": "the API key is wrong; check OKX_API_KEY, and that a key of the demo is used with "
    "--demo-trading and a live one without",
    "60006": "the timestamp is more than 30 s off",
    "60007": "the signature is wrong, so the secret key is; check OKX_SECRET_KEY",
    "60009": "key, secret, passphrase or the addresses the key is bound to do not fit",
    "60014": "too many requests; wait before the next start",
    "60022": "the login was refused as a whole",
    "60024": "the passphrase is wrong; check OKX_PASSPHRASE",
    "60026": "an API key and a token were used at once",
    "60032": "the API key does not exist here; check --region, for a key is valid only where its "
    "account was registered, and --demo-trading",
    "63999": "the venue could not check it; try again later",
    "4001": "the venue closed the connection because of it",
    "no answer": "the venue does not answer; try again later",
}
"""Likely causes by code (OKX API docs, "WebSocket" error codes)."""

LOGIN_CODES = frozenset(code for code in _CAUSES if code not in ("60014", "no answer", "4001"))
LOGIN_CODES |= frozenset({*_ALREADY_DONE, "60020", "60021", "60023", "60025"})
"""Codes that can only be about a login."""


class LoginState(Enum):
    """How far the login of a conversation is."""

    NOT_WANTED = "not wanted"
    DUE = "due"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


def login_cause(code: str) -> str:
    """Return in words why a login was most likely refused, and what to check."""
    return _CAUSES.get(code, "check key, secret and passphrase")


class LoginStep:
    """The login of one conversation.

    Attributes:
        failures: logins that failed in a row, those of earlier connections among them.
        code, message: of the latest failure, blank before one.

    Args:
        wanted: whether to log in. now: monotonic time, ns.
        failures: how many failed in a row before, on earlier connections.
    """

    def __init__(self, *, wanted: bool, now: int, failures: int = 0) -> None:
        self.state = LoginState.DUE if wanted else LoginState.NOT_WANTED
        self.failures = failures
        self.code = self.message = ""
        self.request_id = ""
        self._due = now

    @property
    def is_under_way(self) -> bool:
        """Whether a login is due or not answered yet."""
        return self.state in (LoginState.DUE, LoginState.ASKED)

    @property
    def next_time(self) -> int | None:
        """When to ask, or to stop waiting for the answer, ns; None: never."""
        return self._due if self.is_under_way else None

    def want(self, now: int) -> None:
        """Log in after all: the venue asked for it."""
        if self.state is LoginState.NOT_WANTED:
            self.state, self._due = LoginState.DUE, now

    def is_due(self, now: int) -> bool:
        """Say whether to ask now; an answer that is overdue counts as a failure."""
        if self.state is LoginState.ASKED and now >= self._due:
            self._fail("no answer", f"none within {_ANSWER_WAIT // NS_PER_SECOND} s", now)
        return self.state is LoginState.DUE and now >= self._due

    def asked(self, request_id: str, now: int) -> None:
        """Note that the request goes out."""
        self.state, self.request_id, self._due = LoginState.ASKED, request_id, now + _ANSWER_WAIT

    def answered(self, event: LoggedIn, now: int) -> None:
        """Take an `event: login`; repeated ones change nothing."""
        if self.state not in (LoginState.ASKED, LoginState.DUE):
            return
        if event.code in ("", "0"):
            self._succeed()
        else:  # seen in no documentation; a code is a code
            self._fail(event.code, "login refused", now)

    def refused(self, event: VenueError, now: int) -> bool:
        """Take an error if it is about the login; False where it is about something else."""
        if event.code not in LOGIN_CODES and (
            event.request_id is None or event.request_id != self.request_id
        ):
            return False
        if self.is_under_way and event.request_id in (None, self.request_id):
            if event.code in _ALREADY_DONE:
                self._succeed()
            elif self.state is LoginState.ASKED:  # what comes later is said of the same try
                self._fail(event.code, event.message, now)
        return True

    def closed(self, code: int | None, reason: str, now: int) -> None:
        """Take the close of the connection: 4001 answers a login that has no other answer."""
        if code == LOGIN_CLOSE and self.state is LoginState.ASKED:
            self._fail(str(LOGIN_CLOSE), reason or "login failed", now)

    def _succeed(self) -> None:
        self.state, self.failures = LoginState.DONE, 0

    def _fail(self, code: str, message: str, now: int) -> None:
        self.failures += 1
        self.code, self.message = code, message
        delay = _MAY_PASS.get(code)
        if delay is None or self.failures >= TRIES:
            self.state = LoginState.FAILED
        else:
            self.state, self._due = LoginState.DUE, now + (delay << min(self.failures - 1, 10))
