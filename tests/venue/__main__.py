"""`python -m tests.venue`: run a venue as a process of its own, for soaks and for torture.

Prints its URL on the first line of standard output and runs until it is told to end (SIGTERM,
SIGINT, or the end of `--seconds`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from pathlib import Path

from recorder.live.credentials import credentials_from_environment
from recorder.okx.auth import judge
from recorder.okx.exchange import accept_any_login
from recorder.okx.faults import Scenario, read_scenario
from recorder.okx.faults.drawn import random_scenario
from replay.market.instruments import DEFAULT_INSTRUMENTS
from tests.venue.feeds import CaptureFeed, Feed, MarketFeed
from tests.venue.server import Venue


def scenario_of(arguments: argparse.Namespace) -> Scenario:
    """Read or draw the faults."""
    if arguments.scenario is not None:
        return read_scenario(Path(arguments.scenario).read_text())
    if arguments.faults:
        return random_scenario(
            arguments.seed, seconds=arguments.fault_seconds, count=arguments.faults
        )
    return Scenario()


async def run(arguments: argparse.Namespace) -> None:
    """Serve until told to end."""
    scenario = scenario_of(arguments)
    feed: Feed = (
        MarketFeed(seed=arguments.seed, instruments=arguments.instrument, rate=arguments.rate)
        if arguments.capture is None
        else CaptureFeed(arguments.capture)
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    login = accept_any_login
    if arguments.judge_logins:
        login = judge(credentials_from_environment(os.environ))
    async with Venue(
        scenario,
        feed,
        log=arguments.log,
        login=login,
        port=arguments.port,
        seed=arguments.seed,
    ) as venue:
        print(venue.url, flush=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(arguments.seconds):
                await stop.wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.venue", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the market and random faults")
    parser.add_argument("--scenario", help="file of faults, TOML or JSON")
    parser.add_argument("--faults", type=int, default=0, help="draw so many faults by the seed")
    parser.add_argument("--fault-seconds", type=float, default=60.0, help="time they fall into")
    parser.add_argument("--log", help="file of the oracle")
    parser.add_argument(
        "--judge-logins", action="store_true", help="by the keys in the environment"
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rate", type=float, default=1.0, help="activity of the market")
    parser.add_argument("--instrument", action="append", help="what is traded")
    parser.add_argument("--capture", help="push what this capture holds instead of a market")
    parser.add_argument("--seconds", type=float, help="end by itself")
    arguments = parser.parse_args()
    arguments.instrument = arguments.instrument or list(DEFAULT_INSTRUMENTS)
    asyncio.run(run(arguments))


if __name__ == "__main__":
    main()
