"""What the pure part may never do, read from its syntax: only data may decide an event.

Two runs over one capture give one digest because vocabulary, `okx` and the pure part of `replay`
look at no clock, no set's order, no hash, no address, no environment, no locale, no chance, and
open nothing. Each exception has its reason, and one that is needed no more fails too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PURE = (
    "recorder/errors.py", "recorder/clock.py", "recorder/frame.py", "recorder/book",
    "recorder/strategy.py", "recorder/timers.py", "recorder/event", "recorder/okx",
    "recorder/capture/digest.py", "recorder/capture/sealing/tally.py", "recorder/capture/batch.py",
    "recorder/capture/block.py", "recorder/capture/journal/roll.py",
    "replay/context.py", "replay/difference.py", "replay/proving/evidence.py", "replay/feed.py",
    "replay/ladder.py", "replay/lateness.py", "replay/merged.py", "replay/pace.py",
    "replay/passage.py", "replay/pushdown.py", "replay/source.py",
    "replay/values.py", "replay/views.py", "replay/proving/witness.py", "replay/market",
    "replay/simulation/simulator.py", "replay/simulation/session.py",
    "replay/simulation/scenario.py",
    "replay/server/switchboard.py", "replay/server/catalogue.py",
)  # fmt: skip
"""Files and folders; what decides an event, its digest, its order, or the time a strategy sees."""

EXCEPTIONS = {
    ("recorder/okx/parser.py", "threading"): "a lock, so that two threads may make decoders",
    ("recorder/strategy.py", "importlib"): "loads the user's strategy by the name they gave",
    ("replay/server/switchboard.py", "set"): "what the set gives is sorted in the next line",
}
"""(file, what is used): why that is no danger."""

MODULES = {
    "asyncio", "getpass", "importlib", "locale", "multiprocessing", "pathlib", "platform", "queue",
    "random", "secrets", "select", "signal", "socket", "subprocess", "tempfile", "threading",
    "time", "uuid", "zoneinfo",
}  # fmt: skip
NAMES = {"hash", "id", "open", "input", "globals", "vars", "__import__"}
LOCAL_TIME = {"now", "utcnow", "today", "fromtimestamp", "localtime", "astimezone", "mktime"}
HARMLESS = {"os": {"PathLike", "fspath"}, "random": {"Random"}}
"""Of these modules nothing else. A `Random` is given its seed."""
LOCALE_DATES = re.compile(r"%[aAbBcxXp]")
LOCALE_NUMBER = re.compile(r"n$|\{[^{}]*:[^{}]*n\}")
ORDERED = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "next", "dict"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}


def files() -> list[Path]:
    found: list[Path] = []
    for name in PURE:
        path = ROOT / name
        assert path.exists(), f"{name} is gone: bring PURE up to date"
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


class Finder(ast.NodeVisitor):
    """Collects `(line, what, why)` of everything that a pure file may not do."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[tuple[int, str, str]] = []
        self.sets = [set(_set_names(tree))]
        self.zoned: list[ast.expr] = []
        self.assigned = set(_assigned_names(tree))
        self.visit(tree)

    def tell(self, node: ast.AST, what: str, why: str) -> None:
        self.found.append((getattr(node, "lineno", 0), what, why))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._module(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        if not {alias.name for alias in node.names} <= HARMLESS.get(module, set()):
            self._module(node, module)
            if module in HARMLESS:
                self.tell(node, module, "is outside the data")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        assigned = set(_assigned_names(node))
        own = {name for name in _set_names(node) if not name.startswith(".")}
        self.sets.append((self.sets[-1] - assigned) | own)
        self.generic_visit(node)
        self.sets.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.tell(node, "async", "is driven by an event loop")

    def _module(self, node: ast.AST, name: str) -> None:
        if name.split(".")[0] in MODULES:
            self.tell(node, name.split(".")[0], "is outside the data")

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id in NAMES and node.id not in self.assigned:
            self.tell(node, node.id, "differs from process to process, or reads the world")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = node.value.id if isinstance(node.value, ast.Name) else ""
        is_local = node.attr in LOCAL_TIME and node not in self.zoned
        if owner in {"datetime", "date", "time"} and is_local:
            self.tell(node, node.attr, "reads a clock or the local time zone")
        if owner not in self.assigned and node.attr not in HARMLESS.get(owner, {node.attr}):
            self.tell(node, owner, "is outside the data")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if name in ORDERED or method in {"join", "extend", "fromkeys"}:
            for argument in node.args:
                self._order(argument)
        if method == "pop" and not node.args and isinstance(node.func, ast.Attribute):
            self._order(node.func.value)
        if method in {"fromtimestamp", "astimezone"} and len(node.args) + len(node.keywords) > 1:
            self.zoned.append(node.func)  # into a zone that is named
        if "Random" in (name, method) and not node.args:
            self.tell(node, "random", "without a seed")
        if method in {"strftime", "strptime"}:
            for argument in node.args:
                if isinstance(argument, ast.Constant) and LOCALE_DATES.search(str(argument.value)):
                    self.tell(node, method, "names days or months in the language of a locale")
        if name == "format" and len(node.args) == 2:
            self._number(node, node.args[1])
        if method == "format" and isinstance(node.func, ast.Attribute):
            self._number(node, node.func.value)
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self._order(argument.value)
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        for part in ast.walk(node.format_spec) if node.format_spec else ():
            if isinstance(part, ast.Constant):
                self._number(node, part)
        self.generic_visit(node)

    def _number(self, node: ast.AST, spec: ast.AST) -> None:
        if isinstance(spec, ast.Constant) and LOCALE_NUMBER.search(str(spec.value)):
            self.tell(node, "n", "formats a number by the locale")

    def visit_For(self, node: ast.For) -> None:
        self._order(node.iter)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self._order(node.iter)
        self.generic_visit(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        for part in (node.elt, *(part for clause in node.generators for part in clause.ifs)):
            self.visit(part)  # a set made of a set: its order is lost anyway

    def visit_List(self, node: ast.List) -> None:
        self._starred(node.elts)
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        self._starred(node.elts)
        self.generic_visit(node)

    def _starred(self, elements: list[ast.expr]) -> None:
        for element in elements:
            if isinstance(element, ast.Starred):
                self._order(element.value)

    def _order(self, node: ast.expr) -> None:
        if self._is_set(node):
            self.tell(node, "set", "the order of a set is that of its hashes: sort it")

    def _is_set(self, node: ast.expr) -> bool:
        if isinstance(node, (ast.Set, ast.SetComp)):
            return True
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                return node.func.id in {"set", "frozenset"}
            return (
                isinstance(node.func, ast.Attribute)
                and node.func.attr in SET_METHODS
                and self._is_set(node.func.value)
            )
        if isinstance(node, ast.BinOp) and isinstance(
            node.op, (ast.BitOr, ast.BitAnd, ast.Sub, ast.BitXor)
        ):
            return self._is_set(node.left) or self._is_set(node.right)
        return (isinstance(node, ast.Name) and node.id in self.sets[-1]) or (
            isinstance(node, ast.Attribute) and f".{node.attr}" in self.sets[0]
        )


def _set_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names (`.name` for attributes) that are annotated or assigned as sets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and _says_set(node.annotation):
            yield from _target(node.target)
            if isinstance(node.target, ast.Name):
                yield f".{node.target.id}"  # a field of a struct
        elif isinstance(node, ast.Assign) and _makes_set(node.value):
            for target in node.targets:
                yield from _target(target)
        elif isinstance(node, ast.arg) and node.annotation and _says_set(node.annotation):
            yield node.arg


def _assigned_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def _target(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield f".{node.attr}"


def _says_set(annotation: ast.expr) -> bool:
    return re.match(r"(typing\.)?(set|frozenset|AbstractSet|Set|FrozenSet)\b",
                    ast.unparse(annotation)) is not None  # fmt: skip


def _makes_set(value: ast.expr) -> bool:
    return isinstance(value, (ast.Set, ast.SetComp)) or (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in {"set", "frozenset"}
    )


def breaches(path: Path) -> list[tuple[int, str, str]]:
    return Finder(ast.parse(path.read_text())).found


def test_nothing_but_data_decides_an_event() -> None:
    used: set[tuple[str, str]] = set()
    wrong: list[str] = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        for line, what, why in breaches(path):
            if (name, what) in EXCEPTIONS:
                used.add((name, what))
            else:
                wrong.append(f"{name}:{line}: {what} {why}")
    assert not wrong, "\n".join(wrong)
    assert used == set(EXCEPTIONS), f"needed no more: {set(EXCEPTIONS) - used}"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import time", "time"),
        ("from random import random", "random"),
        ("from datetime import datetime\ndatetime.now()", "now"),
        ("x = hash('a')", "hash"),
        ("sorted(rows, key=id)", "id"),
        ("import os\nos.environ['TZ']", "os"),
        ("import locale", "locale"),
        ("from os import environ", "os"),
        ("from random import Random\nRandom()", "random"),
        ("import random\nrandom.shuffle(x)", "random"),
        ("from datetime import datetime\ndatetime.fromtimestamp(x)", "fromtimestamp"),
        ("for x in {1, 2}: pass", "set"),
        ("a = set(rows)\nb = [x for x in a]", "set"),
        ("def f(names: frozenset[str]): return list(names)", "set"),
        ("def f(names: set[str]): return ','.join(names)", "set"),
        ("class A:\n    names: frozenset[str]\n    def f(self): return [*self.names]", "set"),
        ("self.seen = set()\nself.seen.pop()", "set"),
        ("a = set(x)\nfor x in a | b: pass", "set"),
        ("f'{x:n}'", "n"),
        ("f'{x:,.2n}'", "n"),
        ("format(x, 'n')", "n"),
        ("'{:n}'.format(x)", "n"),
        ("t.strftime('%a %b')", "strftime"),
        ("open('x')", "open"),
    ],
)
def test_the_lint_finds(code: str, what: str) -> None:
    assert what in {found for _, found, _ in Finder(ast.parse(code)).found}, code


@pytest.mark.parametrize(
    "code",
    [
        "for x in sorted({1, 2}): pass",
        "names = frozenset(x)\nok = a in names and len(names) == 2",
        "def f(id: int): return id",
        "for x in {'a': 1}: pass",
        "f'{x:.2f} {y:>10}'",
        "a = {x for x in names}\nb = {x for x in a}",
        "t.strftime('%Y-%m-%d')",
        "from random import Random\nRandom(7)",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(x, UTC)",
        "def f(): a = {1}\ndef g(a): return list(a)",
        "import os\ndef f(path: os.PathLike[str]): pass",
    ],
)
def test_the_lint_lets_pass(code: str) -> None:
    assert Finder(ast.parse(code)).found == [], code
