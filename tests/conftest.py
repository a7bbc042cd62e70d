"""Fixtures every test may use; nothing clever."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from recorder.capture.sealing.process import SealerProcess
from tests import nursery

pytest_plugins = ["tests.deadline"]

REPOSITORY = Path(__file__).resolve().parent.parent

# The same examples in every run, however slow the machine: a failure is of the change that shows
# it. New examples: `--hypothesis-profile default`.
settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")


def pytest_configure() -> None:
    """Take interrupts again where they are ignored: what tests start, and interrupt, would too.

    A shell has its background jobs ignore SIGINT, and so do some CI systems.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _forked_sealers() -> Iterator[None]:
    """Recorders in a process of the tests fork their sealers: their imports cost a third of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SealerProcess, "_start", nursery.start)
        yield
    nursery.NURSERY.close()


@pytest.fixture
def real_sealers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sealers are started as a user's recorder starts them."""
    monkeypatch.setattr(nursery.NURSERY, "is_open", False)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of the committed captures."""
    return REPOSITORY / "datasets"


@pytest.fixture(scope="session")
def real_traffic() -> Path:
    """Frames OKX really sent, kept outside the repository; skip where the folder is absent."""
    folder = REPOSITORY.parent / "shared" / "real-traffic"
    if not folder.is_dir():
        pytest.skip("real traffic is not here: expected the folder ../shared/real-traffic")
    return folder
