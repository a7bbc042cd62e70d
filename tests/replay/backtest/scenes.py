"""Scenes: short recordings written by hand, for backtests whose outcome can be computed by hand.

Responsible for frames in the wire's form at exact times. A scene has one clock: `at` is when the
venue sent a push, in ms after START; it is received DELAY_MS later.
"""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

from recorder.frame import Frame, Kind
from recorder.okx.interpreter import Interpreter
from recorder.strategy import adapt
from replay.backtest.settings import make_settings
from replay.backtest.simulation import Simulation
from replay.backtest.stats import Stats
from replay.passage import Passage

MS = 1_000_000
START = 1_790_000_000_000 * MS  # 2026-09-21T14:13:20Z
DELAY_MS = 5

SPOT = {
    "instId": "BTC-USDT", "instType": "SPOT", "tickSz": "0.1", "lotSz": "0.001", "minSz": "0.01",
    "state": "live", "baseCcy": "BTC", "quoteCcy": "USDT", "maxMktSz": "100", "maxLmtSz": "1000",
}  # fmt: skip
LINEAR = {
    "instId": "BTC-USDT-SWAP", "instType": "SWAP", "tickSz": "0.1", "lotSz": "1", "minSz": "1",
    "state": "live", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear",
    "settleCcy": "USDT", "uly": "BTC-USDT",
}  # fmt: skip
INVERSE = {
    "instId": "BTC-USD-SWAP", "instType": "SWAP", "tickSz": "0.1", "lotSz": "1", "minSz": "1",
    "state": "live", "ctVal": "100", "ctMult": "1", "ctValCcy": "USD", "ctType": "inverse",
    "settleCcy": "BTC", "uly": "BTC-USD",
}  # fmt: skip

Levels = list[tuple[float, float]]


class Scene:
    """Frames in the making."""

    def __init__(self, *rules: dict[str, str], delay_ms: float = DELAY_MS) -> None:
        self.frames: list[Frame] = []
        self.delay_ms = delay_ms
        self._seq_id = 100
        self._trade_id = 0
        self._row(0, {"version": "0.1.0", "boot": "x"}, Kind.RUN, -1)
        for kind in dict.fromkeys(rule["instType"] for rule in rules):
            request = f"GET /api/v5/public/instruments?instType={kind}"
            self._row(0, request.encode(), Kind.SENT, 1)
            rows = [rule for rule in rules if rule["instType"] == kind]
            self._row(0, {"code": "0", "msg": "", "data": rows}, Kind.REST, 1)
        self.connect(0, connection=2)

    def _row(self, at: float, payload: Any, kind: Kind = Kind.TEXT, connection: int = 2) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        time = START + round((at + (self.delay_ms if kind is Kind.TEXT else 0)) * MS)
        if self.frames:
            time = max(time, self.frames[-1].ts_recv)
        self.frames.append(Frame(len(self.frames), time, time - START, connection, kind, data))

    def connect(self, at: float, connection: int) -> None:
        """Open a socket."""
        self._connection = connection
        about = {"url": "wss://h/ws/v5/public", "endpoint": "public", "link": 0}
        self._row(at, about, Kind.OPENED, connection)

    def disconnect(self, at: float) -> None:
        """Lose the socket."""
        about = {"code": 1006, "reason": "", "by": "network", "opened": True}
        self._row(at, about, Kind.CLOSED, self._connection)

    def book(
        self,
        at: float,
        instrument: str,
        bids: Levels,
        asks: Levels,
        *,
        snapshot: bool = False,
        jump: int = 0,
    ) -> None:
        """Push a book or a change of it; `jump` leaves numbers out."""
        prev = self._seq_id + jump
        self._seq_id = prev + 10
        self._row(
            at,
            {
                "arg": {"channel": "books", "instId": instrument},
                "action": "snapshot" if snapshot else "update",
                "data": [{
                    "bids": [[str(p), str(s), "0", "1"] for p, s in bids],
                    "asks": [[str(p), str(s), "0", "1"] for p, s in asks],
                    "ts": str((START + round(at * MS)) // MS), "checksum": 0,
                    "seqId": self._seq_id, "prevSeqId": -1 if snapshot else prev,
                }],
            },
            connection=self._connection,
        )  # fmt: skip

    def trade(
        self, at: float, instrument: str, side: str, price: float, size: float, *, seq: int = 0
    ) -> None:
        """Push a trade; `side` is the aggressor's. `seq`: how far behind the book's number."""
        self._trade_id += 1
        row = {
            "instId": instrument, "tradeId": str(self._trade_id), "px": str(price),
            "sz": str(size), "side": side, "ts": str((START + round(at * MS)) // MS),
            "count": "1", "source": "0", "seqId": self._seq_id + 5 - seq,
        }  # fmt: skip
        argument = {"channel": "trades", "instId": instrument}
        self._row(at, {"arg": argument, "data": [row]}, connection=self._connection)

    def mark(self, at: float, instrument: str, price: float) -> None:
        """Push a mark price."""
        row = {"instId": instrument, "instType": "SWAP", "markPx": str(price),
               "ts": str((START + round(at * MS)) // MS)}  # fmt: skip
        self._row(at, {"arg": {"channel": "mark-price", "instId": instrument}, "data": [row]})

    def funding(self, at: float, instrument: str, rate: str, settles_at: float) -> None:
        """Push a funding rate that is settled at a time."""
        row = {
            "instId": instrument, "instType": "SWAP", "fundingRate": rate,
            "fundingTime": str((START + round(settles_at * MS)) // MS), "nextFundingRate": "",
            "nextFundingTime": "", "minFundingRate": "-0.01", "maxFundingRate": "0.01",
            "premium": "", "interestRate": "", "impactValue": "", "settFundingRate": "",
            "settState": "settled", "method": "current_period", "formulaType": "withRate",
            "ts": str((START + round(at * MS)) // MS),
        }  # fmt: skip
        self._row(at, {"arg": {"channel": "funding-rate", "instId": instrument}, "data": [row]})

    def tick(self, at: float) -> None:
        """Let time pass: a push that no market cares about."""
        self._row(at, b"pong")

    def play(self, strategy: Any, **settings: Any) -> Done:
        """Run a backtest of the frames, without a disk."""
        return play(self.frames, strategy, **settings)


class Done(NamedTuple):
    """What a backtest of a scene came to."""

    stats: list[Stats]
    rows: dict[str, list[dict[str, Any]]]
    warnings: list[str]
    digest: str


def play(frames: list[Frame], strategy: Any, **settings: Any) -> Done:
    """Play frames as `replay.play` does, its own loop included, into a backtest."""
    simulation = Simulation(strategy, make_settings(**settings))
    interpreter = Interpreter()
    source: Any = SimpleNamespace(
        interpreter=interpreter,
        books=interpreter.books,
        frames=0,
        events=0,
        pass_by=lambda seq: None,
    )
    adapted = adapt(simulation)
    passage = Passage([source], adapted.handle, is_filtered=False, restarts=0)
    passage.begin(adapted.start, frames[0].ts_recv)
    passage.play_all(frames)
    passage.end(adapted.stop)
    digest = simulation.results.close()
    return Done(simulation.stats(), simulation.results.objects(), simulation.warnings(), digest)


class Script:
    """A strategy that does things at times, and notes what it is told.

    Args:
        steps: what to do, as (ms after START by its own clock, call with the context).
    """

    def __init__(self, *steps: tuple[float, Any]) -> None:
        self.steps = steps
        self.told: list[tuple[str, Any]] = []
        self.context: Any = None
        self.start: Any = None

    def on_start(self, context: Any) -> None:
        self.context = context
        for at, call in self.steps:
            context.at(START + round(at * MS), call)

    def on_order(self, event: Any, context: Any) -> None:
        self.told.append((event.state, event))

    def on_fill(self, event: Any, context: Any) -> None:
        self.told.append(("fill", event))

    def on_gap(self, event: Any, context: Any) -> None:
        self.told.append(("gap", event))

    @property
    def states(self) -> list[str]:
        """Return the states its orders went through."""
        return [word for word, _ in self.told]

    def fills(self) -> list[tuple[Decimal, Decimal, str]]:
        """Return price, size and role of each fill."""
        return [(e.price, e.size, e.execution) for word, e in self.told if word == "fill"]

    def times(self) -> list[float]:
        """Return when it was told each thing, ms after START."""
        return [(event.ts_recv - START) / MS for _, event in self.told]
