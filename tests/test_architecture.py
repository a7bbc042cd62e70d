"""The import arrows, the allowed third parties, and what the pure part may never call.

The table below is docs/architecture.md as code. A breach names the file, the line and the rule.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted([*(ROOT / "recorder").rglob("*.py"), *(ROOT / "replay").rglob("*.py")])


class Layer(NamedTuple):
    """What the modules under one prefix may import beside themselves and the standard library."""

    prefix: str
    ours: tuple[str, ...]
    third_party: tuple[str, ...]


PURE = ("recorder.errors", "recorder.clock", "recorder.frame", "recorder.event")
VOCABULARY = (
    *PURE, "recorder.latency", "recorder.book", "recorder.timers", "recorder.strategy",
    "recorder.trading",
)  # fmt: skip
BELOW_REPLAY = (*VOCABULARY, "recorder.okx", "recorder.capture", "recorder.sinks")

LAYERS = (
    Layer("recorder.__main__", ("recorder.cli",), ()),
    Layer("replay.__main__", ("replay.cli",), ()),
    Layer("recorder.errors", (), ()),
    Layer("recorder.clock", ("recorder.errors",), ()),
    Layer("recorder.latency", ("recorder.clock",), ()),
    Layer("recorder.frame", ("recorder.errors", "recorder.clock"), ("msgspec",)),
    Layer("recorder.event", PURE, ("msgspec",)),
    Layer("recorder.book", PURE, ("msgspec",)),
    Layer("recorder.timers", ("recorder.errors", "recorder.clock"), ()),
    Layer("recorder.strategy", (*PURE, "recorder.book", "recorder.timers"), ("msgspec",)),
    Layer("recorder.trading", (*PURE, "recorder.book", "recorder.timers", "recorder.strategy"), ()),
    Layer("recorder.okx", VOCABULARY, ("msgspec",)),
    Layer("recorder.capture", (*VOCABULARY, "recorder.okx"), ("msgspec", "pyarrow", "zstandard")),
    Layer(
        "recorder.live.metrics",
        (*VOCABULARY, "recorder.okx", "recorder.capture", "recorder.live"),
        ("msgspec", "prometheus_client"),
    ),
    Layer(
        "recorder.live",
        (*VOCABULARY, "recorder.okx", "recorder.capture", "recorder.sinks"),
        ("msgspec", "websockets"),
    ),
    Layer("recorder.sinks.timescale", (*VOCABULARY, "recorder.sinks"), ("msgspec", "psycopg")),
    Layer("recorder.sinks.redis", (*VOCABULARY, "recorder.sinks"), ("msgspec", "redis")),
    Layer("recorder.sinks", VOCABULARY, ("msgspec",)),
    Layer("recorder.console", ("recorder.errors", "recorder.clock"), ("click", "rich", "msgspec")),
    Layer("recorder.cli", ("recorder",), ("click", "rich", "msgspec")),
    Layer(
        "replay.cli",
        (*BELOW_REPLAY, "recorder.console", "replay"),
        ("click", "rich", "msgspec"),
    ),
    Layer(
        "replay.demo",
        (*BELOW_REPLAY, "recorder.console", "replay"),
        ("rich", "msgspec", "duckdb"),
    ),
    Layer(  # two names for what it returns; loaded when somebody asks for one
        "replay.dataframes",
        (*BELOW_REPLAY, "replay"),
        ("pyarrow", "pandas", "polars"),
    ),
    Layer("replay.sweep.cluster", ("recorder.errors",), ("distributed",)),  # loaded when asked for
    Layer("replay.pytest_plugin", ("replay",), ("pytest",)),
    Layer("replay.pytest_captures", ("recorder.capture",), ("pytest",)),
    Layer(
        "replay",
        (*BELOW_REPLAY, "replay"),
        ("msgspec", "pyarrow", "duckdb", "websockets", "zstandard"),
    ),
    Layer("recorder", (*VOCABULARY, "recorder.okx", "recorder.capture", "recorder.live"), ()),
)
"""First match wins, so the narrow prefixes stand first."""

CLOCK_CALLS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"}
MAY_READ_A_CLOCK = (
    "recorder.live",  # stamps, timers
    "recorder.cli",  # progress
    "recorder.capture.writer",  # status once a second, sync age: never a stamp of a frame
    "recorder.capture.writing.appender",  # age of a block
    "recorder.capture.writing.drain",  # the same, and when to look for room again
    "recorder.capture.sealing.sealer",  # what retention counts the days to
    "recorder.capture.journal",
    "recorder.capture.status",
    "recorder.capture.recover",  # says how long it took
    "replay.pacer",
    "replay.playing",
    "replay.streams",  # how long a followed capture has been silent
    "replay.server",
    "replay.demo",
    "replay.cli",
    "replay.regression.child",  # times the parsers that are compared
)
MAY_READ_THE_ENVIRONMENT = ("recorder.cli", "replay.cli", "replay.demo", "recorder.live")
BANNED_NAMES = {"manager", "helper", "helpers", "util", "utils", "handy", "base", "common", "misc"}
LINES_MAX = 400
# The events of one subject read best as one list.
LONGER = {"recorder.event.market": 600, "recorder.event.account": 600}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def starts_with(module: str, prefixes: tuple[str, ...]) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def layer_of(module: str) -> Layer:
    return next(layer for layer in LAYERS if starts_with(module, (layer.prefix,)))


def imports_of(tree: ast.AST) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the arrow"
            assert node.module is not None
            found.append((node.lineno, node.module))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_point_downward(path: Path) -> None:
    module = module_of(path)
    layer = layer_of(module)
    breaches = []
    for line, name in imports_of(ast.parse(path.read_text())):
        top = name.split(".")[0]
        if top in ("recorder", "replay"):
            itself = starts_with(name, (layer.prefix,)) and layer.prefix not in ("recorder",)
            allowed = itself or starts_with(name, layer.ours)
            version = name == "recorder" and module.startswith(("recorder.", "replay"))
            if not allowed and not version:
                breaches.append(f"{module}:{line} imports {name}")
        elif top not in sys.stdlib_module_names and top not in layer.third_party:
            breaches.append(f"{module}:{line} imports {name}, not allowed in {layer.prefix}")
    assert not breaches, breaches


def test_the_arrow_test_can_fail() -> None:
    assert not starts_with("recorder.live.endpoints", layer_of("recorder.capture.reader").ours)
    assert not starts_with("recorder.live", layer_of("replay.server").ours)
    assert not starts_with("replay.sql", layer_of("recorder.cli.record").ours)
    assert starts_with("recorder.okx.parser", layer_of("recorder.capture.sealing.sealer").ours)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_clocks_and_environment_are_read_at_the_edge_only(path: Path) -> None:
    module = module_of(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        owner, name = node.value.id, node.attr
        if owner == "time" and name in CLOCK_CALLS:
            assert starts_with(module, MAY_READ_A_CLOCK), f"{module}:{node.lineno} reads a clock"
        if (owner, name) in {("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}:
            pytest.fail(f"{module}:{node.lineno} reads a clock through {owner}.{name}")
        if owner == "os" and name in {"environ", "getenv"}:
            assert starts_with(module, MAY_READ_THE_ENVIRONMENT), f"{module}:{node.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_files_stay_small_and_say_what_they_are_for(path: Path) -> None:
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module opens with what it is responsible for"
    assert text.count("\n") <= LONGER.get(module_of(path), LINES_MAX), (
        f"{path.name} is longer than a head holds"
    )
    assert path.stem not in BANNED_NAMES


def test_importing_the_packages_has_no_side_effects() -> None:
    code = (
        "import threading, sys; import recorder, replay, recorder.capture.reader, replay.sql; "
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
