"""The recorder under test, in a process of its own: `record(...)` with links of a given haste.

The command line has no options for the waits between reconnects, and a soak of 20 seconds cannot
wait as long as a recorder that runs for weeks. Everything else is what `recorder record` does.
Every warning goes to standard error with the wall clock (ns), the report to standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

import msgspec

from recorder.live import LinkOptions
from recorder.live.recording import record


def say(words: str) -> None:
    """Write a line with its time."""
    print(time.time_ns(), words, file=sys.stderr, flush=True)


async def run(arguments: argparse.Namespace) -> None:
    """Record until the time is over."""
    report = await record(
        arguments.out,
        arguments.subscribe,
        url=arguments.url,
        private=True,
        duration=arguments.seconds,
        resnapshot=arguments.resnapshot_seconds / 3_600,
        digest=True,
        notify=say,
        link=LinkOptions(**msgspec.json.decode(arguments.link)),
    )
    print(msgspec.json.encode(report).decode())


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.subject", description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--link", default="{}", help="LinkOptions as JSON")
    parser.add_argument("--resnapshot-seconds", type=float, default=5.0)
    parser.add_argument("--subscribe", action="append")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
