"""Parsers in threads: msgspec crashes where two make the first decoder of a type at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys, threading
from decimal import Decimal
from recorder.frame import Frame, Kind
from recorder.okx.parser import Parser
from recorder.okx.pushes import SHAPES

sys.setswitchinterval(1e-6)
together = threading.Barrier(4)
failures = []

def work():
    try:
        together.wait(60)
        parser = Parser({number})
        for name in SHAPES:
            text = '{{"arg":{{"channel":"%s","instId":"X"}},"data":[{{"px":"1"}}]}}' % name
            parser.parse(Frame(1, 1, 1, 1, Kind.TEXT, text.encode()))
    except BaseException as error:
        failures.append(error)

threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
assert not any(thread.is_alive() for thread in threads)
assert not failures, failures
"""


@pytest.mark.parametrize("number", ["float", "Decimal"])
def test_channels_are_compiled_in_several_threads_at_once(number: str) -> None:
    script = SCRIPT.format(number=number)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
