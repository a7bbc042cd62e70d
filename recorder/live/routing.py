"""Routing: which endpoint serves a subscription, and whether one may ask there.

Responsible for this one question. Refuses to open anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from recorder.errors import UsageError
from recorder.okx.channels import ENDPOINTS, channel_of
from recorder.okx.subscription import Subscription


def route_to_endpoints(
    subscriptions: Sequence[Subscription], *, private: bool = False
) -> dict[str, list[Subscription]]:
    """Sort subscriptions, each once, by the endpoint that serves them.

    Without a login `books-l2-tbt` and `books50-l2-tbt` are let through: the venue wants one for
    them on its public socket and will say so, a local replay server of an old session does not.

    Raises:
        UsageError: there are none, or one needs a login and there is none.
    """
    if not subscriptions:
        raise UsageError(
            "expected at least one subscription, received none; "
            "e.g. --subscribe books:BTC-USDT --subscribe trades:BTC-USDT"
        )
    found: dict[str, list[Subscription]] = {name: [] for name in ENDPOINTS}
    for subscription in dict.fromkeys(subscriptions):
        channel = channel_of(subscription.channel)
        if channel.login and not channel.is_book and not private:
            raise UsageError(
                f"expected channels without a login, received {channel.name}, which is an "
                f"account's own; log in with --private"
            )
        found[channel.endpoint].append(subscription)
    return {name: wanted for name, wanted in found.items() if wanted}
