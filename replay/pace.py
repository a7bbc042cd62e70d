"""How fast a replay is to go, as a person or a program says it.

Responsible for reading speeds. Refuses to keep time: `replay.pacer`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, TypeAlias

from recorder.errors import UsageError

Speed: TypeAlias = Fraction | None
"""Data seconds per steady second, exact; None is as fast as possible."""


def parse_speed(text: str | float | Fraction | None) -> Speed:
    """Read `max`, `10`, `0.5`, `10x` (or a number from Python) as an exact speed; None is max.

    Raises:
        UsageError: it is neither `max` nor a number above 0.
    """
    if text is None or isinstance(text, Fraction):
        speed = text
    else:
        # repr of a float is its shortest decimal form: 0.1 means one tenth here.
        written = str(text).strip().lower()
        if written == "max":
            return None
        try:
            speed = Fraction(written.removesuffix("x"))
        except (ValueError, ZeroDivisionError):
            speed = Fraction(0)
    if speed is not None and speed <= 0:
        raise UsageError(
            f"expected a speed as max or a number above 0 (10, 0.5, 10x), received {text!r}"
        )
    return speed


class Pace(NamedTuple):
    """How frames are to follow each other.

    Attributes:
        speed: data seconds per steady second; None is max.
        rate: frames per second, whatever their stamps say; None: as their stamps say.
        stepwise: stand still before the first frame, and go on frame by frame when told to.
    """

    speed: Speed = None
    rate: Fraction | None = None
    stepwise: bool = False

    @property
    def label(self) -> float | str:
        """What was asked for, as the report names it: 10.0, `max`, `5000/s` or `step`."""
        if self.stepwise:
            return "step"
        if self.rate is not None:
            return f"{float(self.rate):g}/s"
        return "max" if self.speed is None else float(self.speed)


def parse_pace(text: str | float | Fraction | Pace | None) -> Pace:
    """Read a speed as `parse_speed` does, or `5000/s` (frames per second), or `step`.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(text, Pace):
        return text
    if isinstance(text, str):
        written = text.strip().lower()
        if written == "step":
            return Pace(stepwise=True)
        if written.endswith("/s"):
            return Pace(Fraction(1), rate=parse_speed(written.removesuffix("/s")))
    return Pace(parse_speed(text))
