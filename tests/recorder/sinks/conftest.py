"""Servers of the tests of sinks, one of each kind per worker, and databases in them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from tests.servers import Postgres, RedisServer, program

_numbers = count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A running PostgreSQL; skip where it is not installed."""
    pytest.importorskip("psycopg", reason="the extra pg is not installed")
    if program("initdb") is None or program("postgres") is None:
        pytest.skip("PostgreSQL is not installed: expected initdb and postgres")
    shared = tmp_path_factory.getbasetemp().parent
    server = Postgres(Postgres.template(shared))
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def database(postgres_server: Postgres) -> str:
    """The address of a new, empty database."""
    import psycopg

    name = f"market{next(_numbers)}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return postgres_server.url(name)


@pytest.fixture(scope="session")
def running_redis() -> Iterator[RedisServer]:
    """A running Redis; skip where it is not installed."""
    pytest.importorskip("redis", reason="the extra redis is not installed")
    if program("redis-server") is None:
        pytest.skip("Redis is not installed: expected redis-server")
    server = RedisServer()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def redis_server(running_redis: RedisServer) -> RedisServer:
    """A running, empty Redis."""
    with running_redis.client() as client:
        client.flushall()
        client.config_set("maxmemory", 0)
    return running_redis
