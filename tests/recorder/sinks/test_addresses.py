"""Addresses: what is secret in one is in no word anybody sees."""

from __future__ import annotations

import pytest

from recorder.errors import UsageError
from recorder.sinks import addresses
from recorder.sinks.addresses import masked, parse_address, secrets_of, sink_of, with_options


@pytest.mark.parametrize(
    ("address", "shown", "secrets"),
    [
        (
            "timescale:postgresql://me:p%40ss/w@db:5432/market?sslmode=require",
            "timescale:postgresql://me:***@db:5432/market?sslmode=require",
            ["p%40ss/w", "p@ss/w"],
        ),
        ("redis://me:hu?sh@h/0?prefix=x", "redis://me:***@h/0?prefix=x", ["hu?sh"]),
        ("redis://h:1?username=a@b", "redis://h:1?username=a@b", []),
        ("timescale:host=h password=hush", "timescale:host=h password=***", ["hush"]),
        ("redis://:hush@h:1/0?prefix=x", "redis://:***@h:1/0?prefix=x", ["hush"]),
        ("redis://h/0?password=hush+1", "redis://h/0?password=***", ["hush 1", "hush+1"]),
        (
            "timescale:postgresql://db/m?user=me&sslpassword=s3&passfile=/p",
            "timescale:postgresql://db/m?user=me&sslpassword=***&passfile=/p",
            ["s3"],
        ),
        ("module:a.b:C?token=t0&url=x", "module:a.b:C?token=***&url=x", ["t0"]),
        ("postgres://u:a:b@c@h/d", "postgres://u:***@h/d", ["a:b@c"]),
        ("module:a:B", "module:a:B", []),
    ],
)
def test_what_is_secret_is_masked(address: str, shown: str, secrets: list[str]) -> None:
    assert masked(address) == shown
    assert secrets_of(address) == secrets


@pytest.mark.parametrize(
    "address",
    ["mysql://me:hush@h/d", "hush", "postgresql://me:hush@h/d", "redis:", "://me:hush@h"],
)
def test_what_is_no_address_is_told_without_its_password(address: str) -> None:
    with pytest.raises(UsageError, match="expected the address of a sink") as raised:
        sink_of(address)
    assert "me:hush" not in str(raised.value)


def test_an_error_of_the_driver_that_quotes_the_address_is_scrubbed() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(UsageError) as raised:
        sink_of("timescale:postgresql://me:hu%zzsh@h/d")  # libpq shows what it cannot decode
    assert "hu%zzsh" not in str(raised.value)
    assert "***" in str(raised.value)
    assert raised.value.__cause__ is None
    words = parse_address("redis://:hush@h/0").scrub("cannot log in with hush at h")
    assert words == "cannot log in with *** at h"


def test_a_library_that_is_missing_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "find_spec", lambda _: None)
    for address, extra in (("timescale:postgresql://h/d", "pg"), ("redis://h/0", "redis")):
        with pytest.raises(UsageError, match=rf"pip install 'okx-recorder\[{extra}\]'"):
            sink_of(address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("module:json", "expected module:PACKAGE.MODULE:NAME"),
        ("module:no_such_module:X", "expected an importable module"),
        ("module:json:no_such_name", "expected 'no_such_name' in module 'json'"),
        ("module:collections:OrderedDict", "it has no open, write, close"),
        ("module:fractions:Fraction?a=b", "it raised TypeError"),
    ],
)
def test_a_sink_of_ones_own_that_is_none(address: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        sink_of(address)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "address", ["timescale:postgresql:///market", "timescale:postgresql:///m?user=x"]
)
def test_a_database_of_this_machine_needs_no_host(address: str) -> None:
    pytest.importorskip("psycopg")
    sink_of(address).close()


def test_options_of_a_driver_hold_blanks_as_libpq_reads_them() -> None:
    assert with_options("postgresql:///m", {"options": "-c a=b"}) == (
        "postgresql:///m?options=-c%20a%3Db"
    )
