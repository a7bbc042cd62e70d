"""Watcher: who is told how the endpoints fare, and decides what an endpoint alone cannot.

Responsible for this protocol. Refuses to do anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from recorder.live.ending import Closed
from recorder.live.rules import Retry, Rule
from recorder.okx.session import GiveUp

if TYPE_CHECKING:
    from recorder.live.endpoint import Endpoint


class Watcher(Protocol):
    """Who is told how the endpoints fare."""

    def on_connected(self, endpoint: Endpoint) -> None:
        """A socket is open."""

    def on_acked(self, endpoint: Endpoint) -> None:
        """The venue accepted an argument."""

    def on_refused(self, endpoint: Endpoint) -> bool:
        """The venue said no to everything here; return whether recording goes on."""

    def on_talked(self, endpoint: Endpoint) -> None:
        """Arguments may stand differently from before."""

    def on_login_refused(self, endpoint: Endpoint, action: GiveUp, ahead: float | None) -> None:
        """The login cannot succeed; this machine's clock was so far ahead, s, if that is known."""

    def may_retry(self, endpoint: Endpoint, closed: Closed, rule: Rule, how: Retry) -> bool:
        """A socket, or an attempt, is over; return whether to try again."""

    def on_failure(self, error: BaseException) -> None:
        """Recording cannot go on: the disk takes no more, or the program is wrong."""
