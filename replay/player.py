"""Play captures into a strategy: the same events as live, at any speed, in data time.

Responsible for `play` and for refusing what cannot be played. Refuses to open sockets, to need an
event loop and to read a clock: `playing` does, for pacing and the report; a strategy's clock is
moved by data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from recorder.capture.reader import names_to_keep
from recorder.errors import UsageError
from recorder.okx.faults import Fault, Scenario
from recorder.okx.faults.log import Injected
from recorder.okx.faults.words import scenario_of
from replay.controls import Controls
from replay.feed import Wanted
from replay.lateness import Lateness
from replay.pace import Pace, parse_pace
from replay.passage import NOTE as NOTE
from replay.play_report import PlayReport as PlayReport
from replay.play_report import Progress as Progress
from replay.playing import Replay
from replay.source import Named, captures_of, sources_of


def play(
    capture: Named | Sequence[Named],
    strategy: object | None = None,
    *,
    speed: str | float | Fraction | Pace | None = "max",
    start: int | None = None,
    end: int | None = None,
    channels: Iterable[str] | None = None,
    instruments: Iterable[str] | None = None,
    digest: bool = False,
    number: type = float,
    max_gap: int | None = None,
    loop: int | None = 1,
    follow: bool = False,
    lateness: bool = False,
    faults: Scenario | Iterable[str | Fault] = (),
    seed: int | None = None,
    heal: float | None = 1.0,
    on_fault: Callable[[Injected], object] | None = None,
    controls: Controls | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> PlayReport:
    """Play captures into a strategy, synchronously; return what was played.

    Args:
        capture: a `Capture` or its path; or several of them, which are merged in the order of
            `ts_recv`, of equal ones in the order given; see `replay.merged`.
        strategy: a callable `(event, context)`, an object with `on_event`, `on_trade` or the like
            (`recorder.strategy`), or a list of these; None counts only.
        speed: `max`, data seconds per second (`1`, `10`, `0.5`), frames per second (`5000/s`), or
            `step`: stand still, and go on frame by frame as `controls` says.
        start, end: window of `ts_recv`, ns, as in `Capture.frames`; the books are right from the
            first event on.
        channels, instruments: play only their frames; rows without one are then not played, but
            still reach the interpreter, and `context.books` holds only what is played.
        digest: make the input and the output digest.
        number: float, Decimal or str: what prices and sizes are.
        max_gap: longest pause between two runs of a recorder, ns of data time.
        loop: play it so many times; None: until stopped. Each time begins with the state and the
            clock of the first.
        follow: go on while the captures are being recorded, until their recorders end. Of several,
            one that is silent holds the others up for a tenth of a second; see `replay.merged`.
        lateness: report how late frames were, as a distribution.
        faults: what shall go wrong, e.g. `gap:books:BTC-USDT@p=0.001`; docs/faults.md.
        seed: decides faults with a `p`. on_fault: is told of every fault put in.
        heal: a broken book gets a rebuilt snapshot after so many seconds; None: never.
        controls: pause, step, seek and so on while it runs; see `replay.controls`.
        on_progress: called about ten times a second.

    Raises:
        NotACapture: there is none at this path.
        UsageError: an option that cannot be.
        Exception: whatever the strategy raises, with a note of the event in hand.
    """
    captures = captures_of(capture)
    pace = parse_pace(speed)
    if pace.stepwise and controls is None:
        raise UsageError("expected controls to step with, received none; give controls=Controls()")
    if loop is not None and loop < 1:
        raise UsageError(f"expected to play at least once, received loop={loop}")
    if follow and loop != 1:
        raise UsageError("expected to follow once; play in a loop when the capture is recorded")
    wanted = Wanted(
        start,
        end,
        names_to_keep(channels, "channels"),
        names_to_keep(instruments, "instruments"),
    )
    wrong = scenario_of(faults, seed=seed, heal=heal)
    sources = sources_of(captures, number, digest, wrong, on_fault)
    replay = Replay(
        sources,
        strategy,
        pace,
        wanted,
        max_gap=max_gap,
        loop=loop,
        follow=follow,
        lateness=Lateness() if lateness else None,
        controls=controls,
        on_progress=on_progress,
        with_digest=digest,
    )
    return replay.run()
