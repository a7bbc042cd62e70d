"""`recorder record --dry-run`: what would be subscribed to, and where.

Responsible for this list. Refuses to open a socket or a capture; only patterns ask the venue, by
REST, unless a saved list is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from recorder.cli.ending import named_as_options
from recorder.console import print_json
from recorder.errors import ExitCode
from recorder.okx.channels import channel_of
from recorder.okx.hosts import hosts_at, hosts_of
from recorder.okx.shards import parse_shard, shard_of


def list_subscriptions(arguments: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Print the subscriptions that these arguments of `record` mean, one a line."""
    from recorder.live.patterns import resolve
    from recorder.live.routing import route_to_endpoints

    url, is_demo = arguments.get("url"), bool(arguments.get("demo_trading"))
    shard = arguments.get("shard")
    with named_as_options():
        part = None if shard is None else parse_shard(shard)
        hosts = (
            hosts_of(arguments.get("region", "global"), demo_trading=is_demo)
            if url is None
            else hosts_at(url, demo_trading=is_demo)
        )
        route_to_endpoints(arguments["subscriptions"], private=bool(arguments.get("private")))
        wanted = asyncio.run(
            resolve(
                arguments["subscriptions"],
                hosts,
                instruments_file=arguments.get("instruments_file"),
            )
        )
        wanted = list(dict.fromkeys(wanted if part is None else part.of(wanted)))
    rows = [
        {
            "subscription": str(item),
            "endpoint": channel_of(item.channel).endpoint,
            "url": hosts.endpoint(channel_of(item.channel).endpoint),
            "shard": None if part is None else f"{shard_of(item, part.count)}/{part.count}",
        }
        for item in wanted
    ]
    if as_json:
        print_json(rows)
        return ExitCode.DONE
    for row in rows:
        print("\t".join(str(row[name]) for name in ("subscription", "endpoint", "url")))
    return ExitCode.DONE
