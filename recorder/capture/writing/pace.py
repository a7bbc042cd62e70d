"""The ladder for a disk that is too slow: what is given up, step by step, before frames are.

Responsible for the order of the steps and for saying each one once. Refuses to take them: `writer`
and `appender` look at `level`.
"""

from __future__ import annotations

CALM, COMPRESSED, SEALING_PAUSED, HASTY, DROPPING = range(5)

_STEPS = (
    (COMPRESSED, 1 / 8, "larger writes, compressed"),
    (SEALING_PAUSED, 1 / 4, "sealing paused"),
    (HASTY, 3 / 8, "segments are sealed with less compression"),
    (DROPPING, 1.0, "the oldest waiting frames are dropped, with a `lost` row"),
)
_CALM_BELOW = 1 / 16

NAMES = ("calm", "compressed", "sealing paused", "less compression", "dropping")


class Pace:
    """How far the disk is behind, by the memory that frames waiting for it take.

    Attributes:
        level: 0 calm, then one for each step taken.
    """

    def __init__(self) -> None:
        self.level = CALM

    @property
    def name(self) -> str:
        """The level in a word or two."""
        return NAMES[self.level]

    def look(self, waiting: int, limit: int) -> list[str]:
        """Take the steps that so many waiting bytes ask for; return a sentence for each."""
        said = []
        for level, share, words in _STEPS:
            if level > self.level and waiting >= share * limit:
                self.level = level
                said.append(
                    f"the disk is behind by {waiting / 1e6:.1f} MB of {limit / 1e6:.1f} MB: {words}"
                )
        if self.level and waiting < _CALM_BELOW * limit:
            self.level = CALM
            said.append("the disk has caught up")
        return said
