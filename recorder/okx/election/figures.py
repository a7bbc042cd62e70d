"""Figures: how each link of an endpoint has fared, as counts that add up.

Responsible for the counts, their names, and what a report makes of them. Refuses to decide what is
counted: the election does.

All are plain counts under flat names, so that those of segments add up to those of a capture:
`<endpoint>.<link>.<what>`, and for the distribution of lags `<endpoint>.<link>.lag.<bucket>`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_FINE = 2  # bits: four buckets for each doubling of the lag, so a quantile is within a quarter


def bucket_of(lag: int) -> int:
    """Return the bucket of a lag in ns: its microseconds, four buckets for each doubling."""
    micros = max(lag, 0) // 1000
    if micros < 1 << _FINE:
        return micros
    shift = micros.bit_length() - 1 - _FINE
    return (shift << _FINE) + (micros >> shift)


def end_of(bucket: int) -> int:
    """Return where a bucket ends, ns: the lags in it are below this."""
    if bucket < 1 << _FINE:
        return (bucket + 1) * 1000
    shift = (bucket >> _FINE) - 1
    return (((1 << _FINE) + (bucket & (1 << _FINE) - 1)) + 1 << shift) * 1000


class LinkTally:
    """What is counted of one link; see `LinkFigures`."""

    __slots__ = ("alone_ns", "copies", "first", "lags", "late", "missed", "open_ns")

    def __init__(self) -> None:
        self.first = self.copies = self.missed = self.late = self.open_ns = self.alone_ns = 0
        self.lags: dict[int, int] = {}

    def copied(self, lag: int) -> None:
        """Count a copy that came so many ns after the first one."""
        self.copies += 1
        bucket = bucket_of(lag)
        self.lags[bucket] = self.lags.get(bucket, 0) + 1

    def counts(self) -> dict[str, int]:
        """Return all counts by name."""
        named = {name: getattr(self, name) for name in sorted(self.__slots__) if name != "lags"}
        return {**named, **{f"lag.{bucket}": self.lags[bucket] for bucket in sorted(self.lags)}}


class LinkFigures(msgspec.Struct, kw_only=True):
    """One link of an endpoint.

    Attributes:
        first: data pushes that it was the first to bring; copies: that another had brought before.
        missed: that another brought, and it never did though it held the argument; late: that it
            brought when the merged stream had passed them.
        lag_p50_ms, lag_p90_ms, lag_p99_ms, lag_max_ms: of its copies, how long after the first
            one; to a quarter of the value, None without copies.
        open_s: how long it was open. alone_s: of that, how long no other link of the endpoint was.
    """

    endpoint: str
    link: int
    first: int = 0
    copies: int = 0
    missed: int = 0
    late: int = 0
    lag_p50_ms: float | None = None
    lag_p90_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None
    open_s: float = 0.0
    alone_s: float = 0.0


def report_of(counts: Mapping[str, int]) -> list[LinkFigures]:
    """Return what counts of these names say of each link, by endpoint and link."""
    links: dict[tuple[str, int], LinkFigures] = {}
    lags: dict[tuple[str, int], dict[int, int]] = {}
    for name, count in counts.items():
        endpoint, number, what = name.split(".", 2)
        key = endpoint, int(number)
        figures = links.setdefault(key, LinkFigures(endpoint=endpoint, link=key[1]))
        if what.startswith("lag."):
            lags.setdefault(key, {})[int(what[4:])] = count
        elif what in ("open_ns", "alone_ns"):
            setattr(figures, what[:-2] + "s", count / 1e9)
        elif what in LinkFigures.__struct_fields__:
            setattr(figures, what, count)
    for key, buckets in lags.items():
        figures = links[key]
        figures.lag_p50_ms = _quantile(buckets, 0.50)
        figures.lag_p90_ms = _quantile(buckets, 0.90)
        figures.lag_p99_ms = _quantile(buckets, 0.99)
        figures.lag_max_ms = _quantile(buckets, 1.0)
    return [links[key] for key in sorted(links)]


def _quantile(buckets: Mapping[int, int], share: float) -> float | None:
    """Return the end of the bucket in which a share of the lags is reached, ms."""
    wanted = share * sum(buckets.values())
    reached = 0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        if reached >= wanted and reached:
            return end_of(bucket) / 1e6
    return None
