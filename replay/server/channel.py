"""One argument of a served capture, and who receives it.

Responsible for what is remembered of an argument and of its receivers. Refuses to decide who gets
what: the switchboard does.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from recorder.okx.served import is_chained, repeats_last
from recorder.okx.served_account import ACCOUNT_CHANNELS, AccountState
from recorder.okx.subscription import Subscription


class Receiver(Protocol):
    """What the switchboard needs of a client."""

    @property
    def endpoint(self) -> str:
        """`public`, `business` or `private`."""
        ...

    def push(self, payload: bytes) -> None:
        """Send one text message, now."""
        ...


R = TypeVar("R", bound=Receiver)


class Channel(Generic[R]):
    """One argument on one endpoint.

    Attributes:
        push: the argument as its pushes name it.
        owner: the recorded connection whose pushes are served, None before the first.
        receivers: who gets every push; waiting: who starts at the next snapshot.
        has_begun: something was pushed before the position.
        last: the push sent last, for channels that begin with it; None while not known.
        account: what was pushed so far, for channels whose first push is a whole state.
    """

    __slots__ = (
        "account",
        "endpoint",
        "has_begun",
        "is_chained",
        "last",
        "owner",
        "push",
        "receivers",
        "repeats_last",
        "waiting",
    )

    def __init__(self, endpoint: str, push: Subscription) -> None:
        self.endpoint = endpoint
        self.push = push
        self.is_chained = is_chained(push.channel)
        self.repeats_last = repeats_last(push.channel)
        self.owner: int | None = None
        self.has_begun = False
        self.last: bytes | None = None
        self.account: AccountState | None = None
        if push.channel in ACCOUNT_CHANNELS:
            self.account = AccountState(push.channel)
        self.receivers: list[R] = []
        self.waiting: list[R] = []

    def remove(self, receiver: R) -> None:
        """Send this receiver no more."""
        for holders in (self.receivers, self.waiting):
            if receiver in holders:
                holders.remove(receiver)
