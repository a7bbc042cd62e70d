"""What counts as a strategy, and how one is found by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recorder.errors import UsageError
from recorder.strategy import handler_of, load_strategy

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
