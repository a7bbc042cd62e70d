"""`timescale:postgresql://…`: rows in a TimescaleDB or a plain PostgreSQL, each exactly once.

Responsible for the options in the address. Refuses to be imported without need: `psycopg` is an
extra (`pg`).
"""

from __future__ import annotations

import re

import psycopg
from psycopg.conninfo import conninfo_to_dict

from recorder.errors import UsageError
from recorder.sinks.addresses import Address, number_option, with_options
from recorder.sinks.timescale.schema import HYPERTABLES
from recorder.sinks.timescale.sink import TimescaleSink
from recorder.sinks.timescale.tables import ALWAYS, TABLES

__all__ = ["make"]

_DEFAULT = "trades,candles"
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_DRIVER = {
    # A server that is gone must be noticed; one that is slow is waited for.
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
    "application_name": "okx-recorder",
}


def make(address: Address) -> TimescaleSink:
    """Return the sink at an address; nothing is connected to.

    Raises:
        UsageError: no address of PostgreSQL, or an option that cannot be.
    """
    options = dict(address.options)
    if not address.rest.startswith(("postgresql://", "postgres://")):
        raise UsageError(
            f"expected timescale:postgresql://USER@HOST/DATABASE, received {address.masked!r}"
        )
    names = [name for name in options.pop("tables", _DEFAULT).split(",") if name]
    known = {table.option: table for table in TABLES if table not in ALWAYS}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(
            f"expected tables out of {', '.join(known)} in {address.masked!r}, "
            f"received {', '.join(unknown) or 'none'}"
        )
    schema = options.pop("schema", "okx")
    if not _SCHEMA.fullmatch(schema):
        raise UsageError(
            f"expected a schema of lower-case letters, digits and _ in {address.masked!r}, "
            f"received {schema!r}"
        )
    hypertables = options.pop("hypertables", HYPERTABLES[0])
    if hypertables not in HYPERTABLES:
        raise UsageError(
            f"expected hypertables to be one of {', '.join(HYPERTABLES)}, received {hypertables!r}"
        )
    rows = number_option(options, "batch_rows", 5_000, least=1, whole=True)
    seconds = number_option(options, "batch_seconds", 0.5, least=0)
    conninfo = with_options(address.rest, {**_DRIVER, **options})
    try:
        conninfo_to_dict(conninfo)
    except psycopg.Error as error:
        raise UsageError(
            f"expected an address and options of PostgreSQL in {address.masked!r}: "
            f"{str(error).strip()}; options of this sink are tables, schema, hypertables, "
            f"batch_rows and batch_seconds"
        ) from None
    return TimescaleSink(
        conninfo,
        tables=[*ALWAYS, *(known[name] for name in dict.fromkeys(names))],
        schema=schema,
        hypertables=hypertables,
        batch_rows=int(rows),
        batch_seconds=seconds,
    )
