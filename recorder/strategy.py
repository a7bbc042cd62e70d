"""What a strategy is and what it is given; the same live, in replay and in a backtest.

Responsible for the forms a strategy may have and for handing each event to the right one of its
methods (`adapt`). Refuses to run anything: `live` and `replay` do.

A strategy is a callable `(event, context)`, or an object, of no particular class, with any of:

| method | is given |
|---|---|
| `on_start(context)` | before the first event, and again after a seek or a loop |
| `on_event(event, context)` | every event, before the method of its type |
| `on_trade`, `on_book`, `on_quote`, `on_ticker`, `on_candle` | Trade, BookUpdate, Quote, … |
| `on_order`, `on_fill` | OrderUpdate, Fill: of the account |
| `on_gap(event, context)` | each of `GAPS`: something is missing from here on, or was |
| `on_timer(timer, context)` | a timer that was set without a call of its own |
| `on_stop(context)` | after the last event |

Several strategies on one stream are a list of them: each sees every event, in the order given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from typing import Any, Protocol, TypeAlias

from recorder.book import Books
from recorder.clock import Clock
from recorder.errors import UsageError
from recorder.event import (
    BookMismatch,
    BookUpdate,
    Candle,
    ChecksumMismatch,
    ConnectFailed,
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
from recorder.timers import Call, Timer, Timers

GAPS: tuple[type[Event], ...] = (
    SequenceGap, ChecksumMismatch, BookMismatch, Disconnected, ConnectFailed, Lost,
)  # fmt: skip
"""Events that say that something is missing or wrong; `on_gap` is given them."""

_METHODS: dict[str, tuple[type[Event], ...]] = {
    "on_trade": (Trade,),
    "on_book": (BookUpdate,),
    "on_quote": (Quote,),
    "on_ticker": (Ticker,),
    "on_candle": (Candle,),
    "on_order": (OrderUpdate,),
    "on_fill": (Fill,),
    "on_gap": GAPS,
}
_NAMES = ("on_start", "on_event", *_METHODS, "on_timer", "on_stop")


class Context(Protocol):
    """What the world looks like at the event in hand."""

    @property
    def clock(self) -> Clock:
        """Data time: the `ts_recv` of the frame in hand, ns, never running backwards."""
        ...

    @property
    def books(self) -> Books:
        """Every live order book, already changed by the event in hand."""
        ...

    @property
    def timers(self) -> Timers:
        """What was set by `at`, `after` and `every`."""
        ...

    def at(self, time: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, at a time, ns since the Unix epoch, in data time.

        Without a call, the strategy's `on_timer(timer, context)`.
        """
        ...

    def after(self, delay: int, call: Call | None = None) -> Timer:
        """Call `call(context)` once, `delay` ns of data time from now."""
        ...

    def every(self, interval: int, call: Call | None = None, *, start: int | None = None) -> Timer:
        """Call `call(context)` every `interval` ns of data time, first at `start`, ns."""
        ...


Handler: TypeAlias = Callable[[Event, Context], object]
_Hook: TypeAlias = Callable[[Any], object]


class Adapted:
    """A strategy, or several, in the form in which an engine calls them.

    Attributes:
        handle: called with each event and the context; of a plain callable, that itself.
        names: of the strategies.
    """

    __slots__ = ("_starts", "_stops", "handle", "names")

    def __init__(
        self,
        names: tuple[str, ...],
        handle: Handler,
        starts: tuple[_Hook, ...] = (),
        stops: tuple[_Hook, ...] = (),
    ) -> None:
        self.names = names
        self.handle = handle
        self._starts = starts
        self._stops = stops

    def __call__(self, event: Event, context: Context) -> object:
        """Hand one event over."""
        return self.handle(event, context)

    def start(self, context: Context) -> None:
        """Say that the first event comes next; call it before, and again with a new context."""
        for hook in self._starts:
            hook(context)

    def stop(self, context: Context) -> None:
        """Say that there was the last event."""
        for hook in self._stops:
            hook(context)


def adapt(strategy: object) -> Adapted:
    """Return what hands each event to the methods of a strategy, or of several.

    Raises:
        UsageError: it is no strategy, or has a method whose name is nearly one of those called.
    """
    if isinstance(strategy, Adapted):
        return strategy
    if isinstance(strategy, (list, tuple)):
        return _together([_adapt_one(item) for item in strategy])
    adapted, on_timer = _adapt_one(strategy)
    if on_timer is None:
        return adapted

    def listen(context: Context) -> None:
        context.timers.listener = on_timer

    return Adapted(adapted.names, adapted.handle, (listen, *adapted._starts), adapted._stops)


def handler_of(strategy: object) -> Handler:
    """Return the callable form of a strategy whose start and stop nobody tells."""
    return adapt(strategy).handle


_Named: TypeAlias = tuple[Adapted, Callable[[Timer, Any], object] | None]


def _adapt_one(strategy: object) -> _Named:
    """Return a strategy's form, and what is told its timers."""
    if isinstance(strategy, Adapted):
        return strategy, None
    name = getattr(strategy, "__name__", type(strategy).__name__)
    if isinstance(strategy, type):
        raise UsageError(f"expected a strategy, received the class {name}; give {name}()")
    _check_names(strategy)
    found: dict[str, Any] = {
        method: getattr(strategy, method)
        for method in _NAMES
        if callable(getattr(strategy, method, None))
    }
    if not found:
        if callable(strategy):
            return Adapted((name,), strategy), None
        raise UsageError(
            f"expected a strategy as a callable (event, context) or an object with on_event, "
            f"on_trade or the like, received {type(strategy).__name__}; give it an on_event method"
        )
    starts = (found["on_start"],) if "on_start" in found else ()
    stops = (found["on_stop"],) if "on_stop" in found else ()
    return Adapted((name,), _dispatch(found), starts, stops), found.get("on_timer")


def _dispatch(found: dict[str, Any]) -> Handler:
    """Return what calls the method of an event's type."""
    on_event: Handler | None = found.get("on_event")
    table: dict[type[Event], Handler] = {
        kind: found[method]
        for method, kinds in _METHODS.items()
        if method in found
        for kind in kinds
    }
    if not table:
        return on_event or _ignore
    method_for = table.get
    if on_event is None:

        def by_type(event: Event, context: Context) -> None:
            method = method_for(type(event))
            if method is not None:
                method(event, context)

        return by_type

    def both(event: Event, context: Context) -> None:
        on_event(event, context)
        method = method_for(type(event))
        if method is not None:
            method(event, context)

    return both


def _ignore(_event: Event, _context: Context) -> None:
    """Do nothing: the strategy lives by its timers alone."""


def _together(members: list[_Named]) -> Adapted:
    """Return several strategies as one; each hears its own timers."""
    if not members:
        raise UsageError("expected at least one strategy, received none")
    handles = tuple((adapted.handle, on_timer) for adapted, on_timer in members)

    def handle(event: Event, context: Context) -> None:
        timers = context.timers
        for call, on_timer in handles:
            timers.listener = on_timer
            call(event, context)

    def hook(hooks: tuple[_Hook, ...], on_timer: Callable[[Timer, Any], object] | None) -> _Hook:
        def call(context: Any) -> None:
            context.timers.listener = on_timer
            for each in hooks:
                each(context)

        return call

    return Adapted(
        tuple(name for adapted, _ in members for name in adapted.names),
        handle,
        tuple(hook(adapted._starts, on_timer) for adapted, on_timer in members),
        tuple(hook(adapted._stops, on_timer) for adapted, on_timer in members),
    )


def _check_names(strategy: object) -> None:
    """Refuse a method that looks like one of ours and would silently never be called."""
    for name in dir(strategy):
        if not name.startswith("on_") or name in _NAMES:
            continue
        near = get_close_matches(name, _NAMES, n=1, cutoff=0.85)
        if near and callable(getattr(strategy, name, None)):
            raise UsageError(
                f"expected the methods of {type(strategy).__name__} to be {', '.join(_NAMES)}, "
                f"received {name}; did you mean {near[0]}? Rename it if not"
            )


def load_strategy(spec: str, parameters: Mapping[str, object] | None = None) -> Any:
    """Import `MODULE:NAME`; a class is instantiated.

    Args:
        parameters: keyword arguments of the class.

    Raises:
        UsageError: the text is not of that form, or the module or name does not exist, or it takes
            no such parameters.
    """
    module_name, colon, name = spec.partition(":")
    if not colon or not module_name or not name:
        raise UsageError(
            f"expected a strategy as MODULE:NAME, received {spec!r}; "
            f"e.g. watch:on_event for on_event in watch.py"
        )
    if module_name.endswith(".py"):
        raise UsageError(
            f"expected a module, not a file, in {spec!r}; "
            f"write {module_name.removesuffix('.py').replace('/', '.')}:{name}"
        )
    try:
        found = getattr(import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"expected an importable module in {spec!r}, but {error}; "
            f"run where it can be imported, or set PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise UsageError(f"expected {name!r} in module {module_name!r}; it has none") from error
    if isinstance(found, type):
        return _made(found, parameters or {})
    if parameters:
        raise UsageError(
            f"expected a class in {spec!r} to give {', '.join(parameters)} to, "
            f"received a {type(found).__name__}; make it a class that takes them"
        )
    return found


def _made(kind: type, parameters: Mapping[str, object]) -> Any:
    """Return an instance; a parameter the class does not take is the caller's mistake."""
    if parameters:
        try:
            signature(kind).bind(**parameters)
        except ValueError:
            pass  # of a class without a signature nothing is known before
        except TypeError as error:
            raise UsageError(
                f"expected parameters that {kind.__name__} takes "
                f"({', '.join(signature(kind).parameters) or 'none'}), "
                f"received {', '.join(parameters)}: {error}"
            ) from error
    return kind(**parameters)
