"""`module:PACKAGE.MODULE:NAME`: a sink of one's own.

Responsible for importing it and for what it may leave out of the protocol. Refuses to know what it
does: docs/sinks.md says what it must, and docs/examples/csv_sink.py is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from recorder.errors import SinkRefused, UsageError
from recorder.sinks import Position, Record
from recorder.sinks.addresses import Address


def make(address: Address) -> OwnSink:
    """Import what is named and call it with the options of the address.

    Raises:
        UsageError: there is no such thing, it cannot be called so, or it is no sink.
    """
    module_name, colon, name = address.rest.partition(":")
    if not colon or not module_name or not name:
        raise UsageError(
            f"expected module:PACKAGE.MODULE:NAME, received {address.masked!r}; "
            f"e.g. module:csv_sink:CsvSink?folder=rows for CsvSink in csv_sink.py"
        )
    try:
        factory = getattr(import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"expected an importable module in {address.masked!r}, but {error}; "
            f"run where it can be imported, or set PYTHONPATH"
        ) from None
    except AttributeError:
        raise UsageError(f"expected {name!r} in module {module_name!r}; it has none") from None
    try:
        sink = factory(dict(address.options))
    except Exception as error:  # noqa: BLE001  # whatever it raises is a mistake in the address or there
        raise UsageError(
            f"expected {address.masked!r} to make a sink of its options, but it raised "
            f"{type(error).__name__}: {error}"
        ) from None
    missing = [
        part for part in ("open", "write", "close") if not callable(getattr(sink, part, None))
    ]
    if missing:
        raise UsageError(
            f"expected {address.masked!r} to make a sink with open, write and close; "
            f"it has no {', '.join(missing)}"
        )
    return OwnSink(sink, address.masked)


class OwnSink:
    """A sink of one's own, with defaults for what it leaves out."""

    def __init__(self, sink: Any, name: str) -> None:
        self._sink = sink
        self._name = name
        wants = getattr(sink, "wants", None)
        self.wants: frozenset[type] | None = None if wants is None else frozenset(wants)
        self.batch_rows = int(getattr(sink, "batch_rows", 1_000))
        self.batch_seconds = float(getattr(sink, "batch_seconds", 0.5))
        self.history_seconds: float | None = getattr(sink, "history_seconds", None)

    @property
    def refused(self) -> int:
        """As the sink counts it."""
        return int(getattr(self._sink, "refused", 0))

    def open(self, capture: str) -> Sequence[Position | None]:
        """Pass it on; a position that is no list is that of the one part."""
        stands = self._sink.open(capture)
        return [stands] if stands is None or isinstance(stands, Position) else list(stands)

    def write(self, records: Sequence[Record], position: Position | None) -> None:
        """Pass it on."""
        self._sink.write(records, position)

    def rewind(self, position: Position | None) -> None:
        """Pass it on, if the sink can forget."""
        rewind = getattr(self._sink, "rewind", None)
        if rewind is None:
            raise SinkRefused(
                f"expected {self._name} to forget what was lost with the machine, but it has no "
                f"rewind; give it one, or begin with an empty output"
            )
        rewind(position)

    def close(self) -> None:
        """Pass it on."""
        self._sink.close()
