"""`replay serve`: a local OKX made of a capture.

Responsible for the options, the address on standard output, and a clean end on SIGINT and SIGTERM.
Refuses to serve: that is `replay.server`.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable
from pathlib import Path

import click

from recorder.capture.reader import Capture
from recorder.console import TIME, print_json, say
from recorder.errors import UsageError
from replay.cli.accounts import login_of
from replay.cli.faults import FAULT, SCENARIO, SEED, check_names, read_faults
from replay.server import AT_END, ServeReport, serve
from replay.server.settings import STAYING
from replay.server.tls import kept_pair, load_pair


@click.command("serve")
@click.argument("capture", type=click.Path())
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8765,
    show_default=True,
    help="0 takes any free one.",
)
@click.option(
    "--speed",
    default="1",
    show_default=True,
    help="Data time per second: max, 1, 10, 0.5. At max the clock waits for slow clients.",
)
@click.option("--start", type=TIME, help="Begin here; books are rebuilt as they stood.")
@click.option(
    "--at-end",
    type=click.Choice(AT_END),
    default="idle",
    show_default=True,
    help="When the capture ends: close the sockets, stay, begin again, or go on with what a "
    "recorder adds to it.",
)
@click.option(
    "--wait-for-subscribers",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Start the clock when N distinct arguments are subscribed.",
)
@click.option("--start-paused", is_flag=True, help="Stand still until told to go on.")
@click.option(
    "--idle-close",
    type=float,
    metavar="SECONDS",
    help="Close with 4004 after so long without a push, as OKX does after 30. [never]",
)
@click.option(
    "--buffer-bytes",
    type=click.IntRange(min=1),
    default=8 << 20,
    show_default=True,
    help="Unsent bytes above which a client is too slow and closed with 4005; not at max.",
)
@click.option(
    "--tls", "own_tls", is_flag=True, help="Serve wss with a certificate made and kept here."
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Serve wss with this (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its key (PEM).")
@click.option(
    "--login",
    default="any",
    show_default=True,
    metavar="any|none|env|FILE",
    help="Who may log in: anybody, nobody, the account in OKX_API_KEY, OKX_SECRET_KEY and "
    "OKX_PASSPHRASE, or that in a file of such lines.",
)
@click.option("--books-need-login", is_flag=True, help="Tick-by-tick books do, as at OKX.")
@click.option(
    "--reproduce",
    is_flag=True,
    help="Recorded notices and disconnects happen again, to those they would have met.",
)
@click.option(
    "--retime",
    is_flag=True,
    help="Move the times in pushes to now, for clients that refuse old data. Changes their bytes.",
)
@click.option(
    "--max-clients", type=click.IntRange(min=1), default=1_000, show_default=True, metavar="N"
)
@click.option(
    "--max-subscriptions",
    type=click.IntRange(min=1),
    default=10_000,
    show_default=True,
    metavar="N",
    help="Of one connection; one more closes it with 4009.",
)
@click.option(
    "--max-message",
    type=click.IntRange(min=64),
    default=65_536,
    show_default=True,
    metavar="BYTES",
    help="Longest request; a longer one closes the connection with 1009.",
)
@click.option(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="ORIGIN",
    help="A web page of this origin may be a client too, again for more; * for any. Programs and "
    "pages of this machine always may.",
)
@FAULT
@SCENARIO
@SEED
@click.option("--json", "as_json", is_flag=True, help="Print the address, then a report, as JSON.")
def serve_command(
    capture: str,
    *,
    host: str,
    port: int,
    speed: str,
    start: int | None,
    at_end: str,
    wait_for_subscribers: int,
    start_paused: bool,
    idle_close: float | None,
    buffer_bytes: int,
    own_tls: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
    login: str,
    books_need_login: bool,
    reproduce: bool,
    retime: bool,
    max_clients: int,
    max_subscriptions: int,
    max_message: int,
    allow_origins: tuple[str, ...],
    faults: tuple[str, ...],
    scenario: Path | None,
    seed: int | None,
    as_json: bool,
) -> None:
    """Serve CAPTURE over WebSockets as OKX would: any unmodified v5 client can connect.

    Prints the base address first; `/public`, `/business` and `/private` are appended to it.
    """

    wrong = read_faults(faults, scenario, seed)
    check_names([Capture(capture)], wrong)
    tls = _tls_of(host, tls_cert, tls_key, is_own=own_tls)

    async def run() -> ServeReport:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with serve(
            capture,
            host=host,
            port=port,
            speed=speed,
            start=start,
            at_end=at_end,
            wait_for_subscribers=wait_for_subscribers,
            start_paused=start_paused,
            idle_close=idle_close,
            buffer_bytes=buffer_bytes,
            clients=max_clients,
            subscriptions=max_subscriptions,
            message_bytes=max_message,
            allow_origins=allow_origins,
            login=login_of(login),
            books_need_login=books_need_login,
            tls=tls,
            reproduce=reproduce,
            retime=retime,
            faults=wrong,
            log=say,
        ) as server:
            _announce(server.url, server.arguments, as_json=as_json)
            stopped = asyncio.create_task(stop.wait())
            finished = asyncio.create_task(server.wait_finished())
            await asyncio.wait((stopped, finished), return_when=asyncio.FIRST_COMPLETED)
            if finished.done():
                finished.result()
                if at_end in STAYING:
                    await stopped
            stopped.cancel()
            finished.cancel()
            return server.report()

    report = asyncio.run(run())
    if as_json:
        print_json(report)
    else:
        _tell(report, say)


def _tls_of(
    host: str, certificate: Path | None, key: Path | None, *, is_own: bool
) -> ssl.SSLContext | None:
    """Return what TLS needs, None where it is not wanted."""
    if (certificate is None) != (key is None):
        raise UsageError("expected --tls-cert and --tls-key together, received one of them")
    if certificate is not None and key is not None:
        return load_pair(certificate, key)
    if not is_own:
        return None
    tls, authority = kept_pair(Path(click.get_app_dir("recorder")) / "tls", host)
    say(f"clients must trust {authority}, e.g. by SSL_CERT_FILE={authority}")
    return tls


def _announce(url: str, arguments: dict[str, list[dict[str, str]]], *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "arguments": arguments})
        return
    click.echo(url)
    for endpoint, known in arguments.items():
        if known:
            say(f"{endpoint}: {len(known)} argument{'' if len(known) == 1 else 's'}")


def _tell(report: ServeReport, tell: Callable[[str], None]) -> None:
    parts = [f"{report.frames:,} recorded pushes served in {report.sent:,} messages"]
    if report.achieved_speed is not None:
        parts.append(f"speed {report.achieved_speed:.3f}, at most {report.max_lag_ms:.1f} ms late")
    if report.too_slow:
        parts.append(f"{report.too_slow} clients closed as too slow")
    if report.faults:
        made = ", ".join(f"{fault} {count:,}" for fault, count in sorted(report.faults.items()))
        parts.append(f"faults made: {made}")
    tell("; ".join(parts))
