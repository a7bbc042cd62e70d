"""What a strategy is and what it is given; the same live, in replay and in a backtest.

Responsible for the two protocols. Refuses to run anything: `live` and `replay` do.

A strategy is a callable `(event, context)`, or an object with `on_event(event, context)`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol, TypeAlias, cast

from recorder.book import Books
from recorder.clock import Clock
from recorder.errors import UsageError
from recorder.event import Event
from recorder.timers import Call, Timer


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

    def at(self, time: int, call: Call) -> Timer:
        """Call `call(context)` once, at a time, ns since the Unix epoch, in data time."""
        ...

    def after(self, delay: int, call: Call) -> Timer:
        """Call `call(context)` once, `delay` ns of data time from now."""
        ...

    def every(self, interval: int, call: Call, *, start: int | None = None) -> Timer:
        """Call `call(context)` every `interval` ns of data time, first at `start`, ns."""
        ...


Handler: TypeAlias = Callable[[Event, Context], object]


def handler_of(strategy: object) -> Handler:
    """Return the callable form of a strategy.

    Raises:
        UsageError: it is neither callable nor has `on_event`.
    """
    on_event = getattr(strategy, "on_event", None)
    if callable(on_event):
        return cast(Handler, on_event)
    if callable(strategy):
        return cast(Handler, strategy)
    raise UsageError(
        f"expected a strategy as a callable (event, context) or an object with on_event, "
        f"received {type(strategy).__name__}; give it an on_event method"
    )


def load_strategy(spec: str) -> Any:
    """Import `MODULE:NAME`; a class is instantiated without arguments.

    Raises:
        UsageError: the text is not of that form, or the module or name does not exist.
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
    return found() if isinstance(found, type) else found
