"""What counts as a strategy, how one is found by name, and which method an event reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.errors import UsageError
from recorder.event import (
    BookUpdate,
    Candle,
    Disconnected,
    Event,
    Fill,
    Lost,
    OrderUpdate,
    Quote,
    SequenceGap,
    Ticker,
    Trade,
)
from recorder.strategy import adapt, handler_of, load_strategy

MODULE = '''
"""A module of strategies."""
seen = []
def count(event, context):
    seen.append(event)
class Listener:
    def __init__(self):
        self.seen = []
    def on_event(self, event, context):
        self.seen.append(event)
'''


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "sample_strategies_for_test.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "sample_strategies_for_test"


def test_a_function_is_its_own_handler(module: str) -> None:
    function = load_strategy(f"{module}:count")
    assert handler_of(function) is function


def test_a_class_is_made_and_its_on_event_called(module: str) -> None:
    strategy: Any = load_strategy(f"{module}:Listener")
    handler_of(strategy)("event", None)  # type: ignore[arg-type]
    assert strategy.seen == ["event"]


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("", "MODULE:NAME"),
        ("module", "e.g. watch:on_event"),
        ("my/watch.py:on_event", "write my.watch:on_event"),
        (":name", "MODULE:NAME"),
        ("no_such_module_here:name", "importable module"),
        ("sample_strategies_for_test:absent", "it has none"),
    ],
)
def test_what_cannot_be_loaded_is_told(module: str, spec: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_strategy(spec)


def test_what_is_no_strategy_is_told() -> None:
    with pytest.raises(UsageError, match="callable"):
        handler_of(7)


def some(kind: type[Event]) -> Event:
    """Return an event of a type; only its type is looked at."""
    required = len(kind.__struct_fields__) - len(kind.__struct_defaults__)
    return kind(*[None] * required)


class Everything:
    """Has every method; notes which were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *_: self.calls.append(name)


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (Trade, "on_trade"), (BookUpdate, "on_book"), (Quote, "on_quote"), (Ticker, "on_ticker"),
        (Candle, "on_candle"), (OrderUpdate, "on_order"), (Fill, "on_fill"),
        (SequenceGap, "on_gap"), (Disconnected, "on_gap"), (Lost, "on_gap"),
    ],
)  # fmt: skip
def test_an_event_reaches_on_event_and_then_the_method_of_its_type(
    kind: type[Event], method: str
) -> None:
    strategy = Everything()
    adapt(strategy).handle(some(kind), None)  # type: ignore[arg-type]
    assert strategy.calls == ["on_event", method]


def test_an_event_without_a_method_reaches_nobody() -> None:
    class OnlyTrades:
        seen: list[Event] = []  # noqa: RUF012

        def on_trade(self, event: Event, context: Any) -> None:
            self.seen.append(event)

    adapted = adapt(OnlyTrades())
    trade = some(Trade)
    for event in (some(Quote), trade, some(Ticker)):
        adapted(event, None)  # type: ignore[arg-type]
    assert OnlyTrades.seen == [trade]


def test_several_strategies_see_each_event_in_the_order_given() -> None:
    seen: list[str] = []
    adapted = adapt([lambda *_: seen.append("a"), lambda *_: seen.append("b")])

    class Context:
        class timers:  # noqa: N801
            listener = None

    adapted.handle(some(Trade), Context())  # type: ignore[arg-type]
    assert seen == ["a", "b"]
    assert adapt(adapted) is adapted


def test_a_misspelt_method_is_told_instead_of_never_called() -> None:
    class Misspelt:
        def on_event(self, event: Event, context: Any) -> None: ...
        def on_trades(self, event: Event, context: Any) -> None: ...

    with pytest.raises(UsageError, match="did you mean on_trade"):
        adapt(Misspelt())


@pytest.mark.parametrize("nothing", [[], Everything, object()])
def test_what_cannot_be_adapted_is_told(nothing: object) -> None:
    with pytest.raises(UsageError, match="expected"):
        adapt(nothing)
