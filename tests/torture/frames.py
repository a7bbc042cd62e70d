"""The oracle's frames: frame number `i` of a seed is a pure function of both.

Responsible for frames that both sides can make without talking: the process under torture writes
them, the checker outside makes them again and compares. They hold everything that is hard on a
capture: unbroken book chains, every kind, empty and large payloads, bytes that are not UTF-8, and
payloads that look like journal blocks.
"""

from __future__ import annotations

import random

from recorder.frame import Frame, Kind

START = 1_793_606_400_000_000_000  # 2026-11-02T08:00:00Z
STEP = 1_000_000  # 1 ms
MARKER = b"\xabBLK"
_BOOKS = 3
_HEAD = (
    (Kind.RUN, b'{"recorder":"torture"}'),
    (Kind.OPENED, b'{"url":"ws://127.0.0.1/ws/v5/public","endpoint":"public","link":0}'),
    (Kind.SENT, b'{"op":"subscribe","args":[{"channel":"books","instId":"T0-USDT"}]}'),
    (Kind.TEXT, b'{"event":"subscribe","arg":{"channel":"books","instId":"T0-USDT"},"connId":"1"}'),
)


def frame(seed: int, i: int, *, seq: int | None = None, ts: tuple[int, int] | None = None) -> Frame:
    """Return frame `i`; `seq` where it is not `i`, `(ts_recv, ts_mono)` where they are real."""
    kind, payload = _content(seed, i)
    connection = -1 if kind is Kind.RUN else 0
    ts_recv, ts_mono = ts or (START + i * STEP, 7_000 + i * STEP)
    return Frame(i if seq is None else seq, ts_recv, ts_mono, connection, kind, payload)


def frames(seed: int, first: int, count: int) -> list[Frame]:
    """Return frames `first` to `first + count - 1`, numbered by themselves."""
    return [frame(seed, i) for i in range(first, first + count)]


def content(seed: int, i: int) -> tuple[Kind, bytes]:
    """Return what frame `i` says, whatever its number and stamps."""
    return _content(seed, i)


def _content(seed: int, i: int) -> tuple[Kind, bytes]:
    if i < len(_HEAD):
        return _HEAD[i]
    rng = random.Random(seed << 32 | i)
    draw = rng.random()
    if draw < 0.01:
        return Kind.TEXT, b'{"arg":{"channel":"trades","instId":"\xff"},"data":[' + MARKER * 9
    if draw < 0.02:
        return Kind.BINARY, rng.randbytes(rng.randrange(3000))
    if draw < 0.03:
        return Kind.TEXT, rng.choice((b"", b"pong", b"x" * 20_000))
    if i % 2:
        return Kind.TEXT, (
            b'{"arg":{"channel":"trades","instId":"T%d-USDT"},"data":[{"instId":"T%d-USDT",'
            b'"tradeId":"%d","px":"%.2f","sz":"%d","side":"buy","ts":"1793606400000","count":"1"}]}'
        ) % (i % 7, i % 7, i, rng.uniform(90, 110), rng.randrange(1, 99))
    book = i // 2 % _BOOKS
    turn = i // 2 // _BOOKS  # each book's own counter
    if turn < 1:
        levels = b",".join(b'["%d","1","0","1"]' % (100 - n) for n in range(20))
        return Kind.TEXT, (
            b'{"arg":{"channel":"books","instId":"T%d-USDT"},"action":"snapshot","data":[{"asks":[],'
            b'"bids":[%s],"ts":"1793606400000","checksum":0,"seqId":%d,"prevSeqId":-1}]}'
        ) % (book, levels, turn * 10)
    return Kind.TEXT, (
        b'{"arg":{"channel":"books","instId":"T%d-USDT"},"action":"update","data":[{"asks":[["%d","1",'
        b'"0","1"]],"bids":[],"ts":"1793606400000","checksum":0,"seqId":%d,"prevSeqId":%d}]}'
    ) % (book, rng.randrange(101, 140), turn * 10, turn * 10 - 10)
