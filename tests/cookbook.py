"""The cookbook's results: run each query of docs/cookbook.md and put what it prints below it.

python -m tests.cookbook        (part of `make docs`)
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from replay import query

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "cookbook.md"
_ENTRY = re.compile(
    r"(?P<head>## \d+\. (?P<title>[^\n]+)\n\nOf `(?P<capture>[^`]+)`\.\n\n"
    r"```sql\n(?P<sql>.*?)\n```\n\n```text\n)(?P<result>.*?)```",
    re.DOTALL,
)


class Recipe(NamedTuple):
    """One query of the page, and what the page says that it prints."""

    title: str
    capture: str
    sql: str
    result: str


def recipes() -> Iterator[Recipe]:
    """Yield what stands on the page."""
    for entry in _ENTRY.finditer(PAGE.read_text()):
        yield Recipe(entry["title"], entry["capture"], entry["sql"], entry["result"])


def answer(capture: str, sql: str) -> str:
    """Return what `replay query` prints."""
    out = io.BytesIO()
    query(ROOT / capture, sql, output=out)
    return out.getvalue().decode()


def refreshed(page: str) -> str:
    """Return the page with every result anew."""
    return _ENTRY.sub(lambda e: f"{e['head']}{answer(e['capture'], e['sql'])}```", page)


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text()))
