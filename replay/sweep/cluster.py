"""A cluster's processes for a sweep: those of a dask scheduler that runs already.

Responsible for the connection. Refuses to start a cluster, and to carry captures to it: they are
where the workers look for them, under the same paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from recorder.errors import UsageError


@contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """Give the executor of a scheduler, `tcp://host:8786`.

    Raises:
        UsageError: dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise UsageError(
            "expected dask for a cluster, it is not installed; pip install 'okx-recorder[cluster]'"
        ) from error
    connect: Any = Client
    try:
        client = connect(address, timeout="20s")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"expected a dask scheduler at {address}, found none ({error}); "
            "start one with: dask scheduler"
        ) from error
    with client:
        yield client.get_executor()
