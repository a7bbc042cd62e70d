"""Latency: how long a request takes to the venue, and its answer back.

Responsible for the models and their short form. Refuses a clock: all of it is data time, ns, and
what is random comes from the seed of the run.
"""

from __future__ import annotations

import re
from random import Random

import msgspec

from recorder.clock import NS_PER_MS
from recorder.errors import UsageError

_UNITS = {"ns": 1, "us": 1_000, "ms": NS_PER_MS, "s": 1_000 * NS_PER_MS}
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s)")
_FORMS = "5ms, 5ms/8ms, uniform:2ms-10ms, lognormal:5ms,0.4 or capture"


class Latency(msgspec.Struct, frozen=True):
    """A model of both ways.

    Attributes:
        kind: `fixed`; `uniform` between two times; `lognormal` around a median; `capture`: what the
            recorded market data took (receive less venue time), as the latest book tells it.
        entry, response: ns, of `fixed`: both ways; of `uniform`: low and high; of `lognormal`:
            the median, twice; sigma: of its logarithm.
    """

    kind: str
    entry: int = 0
    response: int = 0
    sigma: float = 0.0

    def draw(self, random: Random, feed_delay: int) -> tuple[int, int]:
        """Return how long the way there and the way back take this time, ns.

        Args:
            feed_delay: of the market data of the moment, ns.
        """
        if self.kind == "fixed":
            return self.entry, self.response
        if self.kind == "capture":
            return max(feed_delay, 0), max(feed_delay, 0)
        if self.kind == "uniform":
            low, high = self.entry, self.response
            return random.randint(low, high), random.randint(low, high)
        # To whole microseconds: the last bit of an exponential is not the same on every machine.
        there, back = (random.lognormvariate(0.0, self.sigma) for _ in range(2))
        return round(self.entry * there / 1_000) * 1_000, round(self.entry * back / 1_000) * 1_000


def parse_latency(text: str | Latency) -> Latency:
    """Read the short form: one of `5ms`, `5ms/8ms` (there/back), `uniform:2ms-10ms`,
    `lognormal:5ms,0.4`, `capture`.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(text, Latency):
        return text
    name, colon, rest = text.strip().partition(":")
    try:
        if name == "capture" and not colon:
            return Latency("capture")
        if name == "uniform":
            low, _, high = rest.partition("-")
            model = Latency("uniform", _time(low), _time(high))
            if model.entry <= model.response:
                return model
        elif name == "lognormal":
            median, _, sigma = rest.partition(",")
            return Latency("lognormal", _time(median), _time(median), float(sigma))
        elif not colon:
            there, slash, back = name.partition("/")
            return Latency("fixed", _time(there), _time(back if slash else there))
    except ValueError:
        pass
    raise UsageError(f"expected a latency such as {_FORMS}, received {text!r}")


def _time(text: str) -> int:
    if text.strip() == "0":
        return 0
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return round(float(match[1]) * _UNITS[match[2]])
