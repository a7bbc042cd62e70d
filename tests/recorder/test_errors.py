"""The table of errors is one table, in the code, in the docs, and in the classes themselves."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import recorder.event
from recorder import errors
from recorder.errors import ExitCode, RecorderError

DOCS = Path(__file__).resolve().parents[2] / "docs"
TREE = re.compile(r"[├└]── (\w+) +(?:(\d+) +)?\S")
KINDS = (
    "HTTP", "connection", "send", "parse", "auth", "rate limit", "API", "serialisation", "URL",
    "timeout", "internal",
)  # fmt: skip
"""What the collector before this one told apart."""


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of every table row, without the ruler."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if "|" in line]
    return [[cell.strip().strip("`") for cell in row] for row in rows if "--" not in row[0]]


def in_code() -> list[list[str]]:
    return rows_of(errors.__doc__ or "")


def classes() -> dict[str, type[RecorderError]]:
    members = inspect.getmembers(errors, inspect.isclass)
    return {name: item for name, item in members if issubclass(item, RecorderError)}


def test_docs_show_the_table_of_the_code() -> None:
    page = (DOCS / "errors.md").read_text()
    table = page.partition("## By kind")[2].partition("##")[0]
    assert rows_of(table) == in_code()
    assert len(in_code()) > 20
    tree = [line.strip() for line in (errors.__doc__ or "").splitlines() if "── " in line]
    assert [line for line in tree if line not in page] == []


def test_every_kind_is_in_the_table() -> None:
    kinds = [row[0] for row in in_code()]
    assert [kind for kind in KINDS if kind not in kinds] == []


@pytest.mark.parametrize("row", in_code()[1:], ids=lambda row: f"{row[0]}: {row[1]}")
def test_what_it_becomes_exists_and_ends_as_told(row: list[str]) -> None:
    _, _, becomes, _, end = row
    if becomes in classes():
        assert str(int(classes()[becomes].exit_code)) == end
    else:
        assert issubclass(getattr(recorder.event, becomes), recorder.event.Event)
        assert end in ("-", str(int(ExitCode.LOSS)))  # an event never ends a recording


def test_the_tree_names_every_class_with_its_exit_code() -> None:
    told = dict(TREE.findall(errors.__doc__ or ""))
    assert sorted(told) == sorted(set(classes()) - {"RecorderError"})
    for name, item in classes().items():
        if name in told:
            parent = item.__bases__[0].__name__
            code = told[name] or told[parent]
            assert str(int(item.exit_code)) == code, name


def test_exit_codes_are_documented() -> None:
    page = (DOCS / "commands.md").read_text().partition("## Exit codes")[2].partition("\n## ")[0]
    assert {row[0] for row in rows_of(page)[1:]} == {str(int(code)) for code in ExitCode}


def test_attributes_are_kept_beside_the_sentence() -> None:
    error = errors.ConfigError("expected x", file="a.toml", key="record.x", line=3)
    assert (str(error), error.file, error.key, error.line) == (
        "expected x",
        "a.toml",
        "record.x",
        3,
    )
    assert errors.AuthError("no", code="60009").code == "60009"
    assert errors.VenueRefused("no", code="60018").code == "60018"
    assert errors.HandshakeError("no", status=403).status == 403
    assert errors.RestError("no").status is None
