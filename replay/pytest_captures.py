"""pytest plugin: captures as fixtures, to test a parser or a client against real traffic.

Responsible for the fixture `capture`, the marker `capture` and the ini option `captures`. Refuses
to load anything of the recorder before a test asks for a capture.

    # pytest.ini: captures = tests/captures/*
    def test_my_parser(capture):                  # once for each capture
        assert_parses_as_recorded(my_parse, capture)

    @pytest.mark.capture("tests/captures/btc")    # or for this one
    def test_a_trade(capture): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from recorder.capture.reader import Capture

_INI = "captures"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini option."""
    parser.addini(
        _INI, "paths or patterns, from pytest's root, of captures for the fixture `capture`", "args"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "capture(path): what the fixture capture opens")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each capture of the ini option, unless a marker names one."""
    if "capture" not in metafunc.fixturenames or not metafunc.config.getini(_INI):
        return
    if metafunc.definition.get_closest_marker("capture") is None:
        paths = _listed(metafunc.config)
        metafunc.parametrize("capture", paths, indirect=True, ids=[path.name for path in paths])


@pytest.fixture
def capture(request: pytest.FixtureRequest) -> Capture:
    """A capture, open for reading: of the marker `capture(path)`, or each of the ini option."""
    from recorder.capture.reader import Capture

    marker = request.node.get_closest_marker("capture")
    if marker is not None and len(marker.args) == 1:
        path = Path(marker.args[0])
        beside = request.path.parent / path
        return Capture(beside if beside.exists() else request.config.rootpath / path)
    listed: Path | None = getattr(request, "param", None)
    if listed is None:
        raise pytest.UsageError(
            f'expected @pytest.mark.capture("path") on {request.node.name}, or the ini option '
            f"`captures`, found neither"
        )
    return Capture(listed)


def _listed(config: pytest.Config) -> list[Path]:
    """Return the captures that the ini option names: directories with a `capture.json`."""
    found: dict[Path, None] = {}
    for pattern in config.getini(_INI):
        for path in sorted(config.rootpath.glob(pattern)):
            if (path / "capture.json").is_file():
                found[path] = None
    return list(found)
