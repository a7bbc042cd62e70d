"""Resnapshot: ask the venue for its books now and then, so that they can be compared with ours.

Responsible for which book is asked for when, spread over the hours so that the venue's limit (40
requests in 2 s per address) is never near. Refuses to compare: the interpreter does
(`okx.comparison`), from the recorded rows, live as in a replay.
"""

from __future__ import annotations

import asyncio

from recorder.live.pipeline import Pipeline
from recorder.live.rest_exchange import RestExchange
from recorder.okx.comparison import BOOKS_PATH, CHANNELS_COMPARED

RESNAPSHOT_HOURS = 6.0
"""Hours in which every book is compared once."""

_SPACING_SECONDS = 0.1  # half of what the venue allows, should there be that many books
_TRIES = 3
_SETTLE_SECONDS = 2.0
_DEPTH = 400


class Resnapshot:
    """Goes round the live books for as long as the recording lasts.

    Args:
        exchange: asks. pipeline: knows the books and how comparisons ended.
        hours: in which every book is asked for once.
        settle: seconds for the updates that prove a comparison to arrive.
    """

    def __init__(
        self,
        exchange: RestExchange,
        pipeline: Pipeline,
        *,
        hours: float = RESNAPSHOT_HOURS,
        settle: float = _SETTLE_SECONDS,
    ) -> None:
        self._exchange = exchange
        self._pipeline = pipeline
        self._period = hours * 3_600
        self._settle = settle
        self._last = ""

    async def run(self) -> None:
        """Ask for one book after the other until cancelled.

        Raises:
            RecorderError: the disk takes no more.
        """
        while True:
            count = max(len(self._instruments()), 1)
            await asyncio.sleep(max(self._period / count, _SPACING_SECONDS))
            instrument = self._next()
            if instrument is not None:
                await self._compare(instrument)

    def _instruments(self) -> list[str]:
        """Return the instruments that have a book to compare, sorted."""
        books = self._pipeline.books
        return sorted({book.instrument for book in books if book.channel in CHANNELS_COMPARED})

    def _next(self) -> str | None:
        """Return the one after the last one asked for, in a ring."""
        names = self._instruments()
        if not names:
            return None
        self._last = next((name for name in names if name > self._last), names[0])
        return self._last

    async def _compare(self, instrument: str) -> None:
        """Ask until a comparison proves something, a few times at most."""
        integrity = self._pipeline.integrity
        for _ in range(_TRIES):
            proved = integrity.books_match + integrity.books_mismatch
            path = f"{BOOKS_PATH}?instId={instrument}&sz={_DEPTH}"
            if not await self._exchange.get(path, f"no book of {instrument}"):
                return
            await asyncio.sleep(self._settle)
            if integrity.books_match + integrity.books_mismatch > proved:
                return
