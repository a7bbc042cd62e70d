"""The arguments of one conversation: what is wanted, what was given up, what the venue refused.

Responsible for which arguments there are, changed while the conversation goes on, and for the
refusals. Refuses to decide what is sent and when: that is `okx.session`.

An argument that is wanted no more stays until the venue has confirmed it, or says that it never
held it; then it is forgotten. Wanted again meanwhile, it is asked for after the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from recorder.okx.standing import Argument, Refusal, Standing
from recorder.okx.subscription import Subscription, subscription_of

_LEAVES_MAX = 3
"""Requests to leave that may stay unanswered; then it counts as left."""


class Wanted:
    """The arguments by what the venue echoes.

    Attributes:
        arguments: by `Subscription.key`, those given up and not yet confirmed among them.

    Args:
        subscriptions: in the order of asking. now: monotonic time, ns.
    """

    def __init__(self, subscriptions: Iterable[Subscription], now: int) -> None:
        self.arguments = {item.key: Argument(item, now) for item in subscriptions}
        self._refusals: dict[Subscription, Refusal] = {}

    def __iter__(self) -> Iterator[Argument]:
        """Go through those that are wanted; anything may be forgotten meanwhile."""
        return iter([item for item in self.arguments.values() if not item.is_unwanted])

    @property
    def standings(self) -> Mapping[Subscription, Standing]:
        """How every wanted argument stands, in the order of asking."""
        return {item.subscription: item.standing for item in self}

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """The arguments the venue said no to, and why."""
        return tuple(self._refusals.values())

    def find(self, argument: Mapping[str, object]) -> Argument | None:
        """Return what an argument of the wire means here, None if nothing."""
        subscription = subscription_of(argument)
        return None if subscription is None else self.arguments.get(subscription.key)

    def add(self, subscription: Subscription, now: int) -> Argument:
        """Want an argument; one that was refused is asked for again."""
        item = self.arguments.get(subscription.key)
        if item is None:
            item = self.arguments[subscription.key] = Argument(subscription, now)
        elif item.is_unwanted:
            item.is_unwanted = False
        elif item.standing is Standing.REFUSED:
            self.accepted(item)
            item.asks = item.denials = 0
            item.ask_at(now)
        return item

    def give_up(self, subscription: Subscription, now: int) -> None:
        """Want an argument no more."""
        item = self.arguments.get(subscription.key)
        if item is None or item.is_unwanted:
            return
        if item.standing is Standing.REFUSED or not item.request:
            self.forget(item)
            return
        item.is_unwanted, item.leaves = True, 0
        item.leave_at = item.check_at = None
        if item.standing is not Standing.LEAVING:
            item.due = now

    def to_leave(self, now: int) -> list[Argument]:
        """Return what was given up and is due to be left; forget what never gets an answer."""
        due = [item for item in self.arguments.values() if item.is_unwanted and now >= item.due]
        for item in due:
            item.leaves += 1
            if item.leaves > _LEAVES_MAX:
                self.forget(item)
        return [item for item in due if item.leaves <= _LEAVES_MAX]

    def to_renew(self, until: int) -> list[Argument]:
        """Return what is to be left until then and asked for anew, for a fresh snapshot."""
        return [item for item in self if item.leave_at is not None and until >= item.leave_at]

    def is_settled(self, sees_book: Callable[[Argument], bool]) -> bool:
        """Say whether each is HELD, an incremental book with its snapshot, or REFUSED."""
        for item in self:
            if item.standing is Standing.HELD:
                if item.is_chained and not sees_book(item):
                    return False
            elif item.standing is not Standing.REFUSED:
                return False
        return True

    def refuse(self, item: Argument, code: str, message: str) -> None:
        """Take the venue's no; one to what is wanted no more is its end."""
        if item.is_unwanted:
            self.forget(item)
            return
        item.refuse()
        self._refusals[item.subscription] = Refusal(item.subscription, code, message)

    def refuse_for_good(self, meant: Callable[[Argument], bool], code: str, message: str) -> None:
        """Take the venue's no to several; an ack that is late does not bring them back."""
        for item in list(self.arguments.values()):
            if meant(item):
                if item.standing is not Standing.REFUSED:
                    self.refuse(item, code, message)
                item.was_acked = True

    def accepted(self, item: Argument) -> None:
        """Take a refusal back."""
        self._refusals.pop(item.subscription, None)

    def forget(self, item: Argument) -> None:
        """Know an argument no more."""
        self.arguments.pop(item.subscription.key, None)
        self.accepted(item)
