"""Route: the index columns of a message, found without understanding it."""

from __future__ import annotations

import pytest

from recorder.okx.route import route, routes


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"arg":{"channel":"trades","instId":"ELM-USDT"},"data":[]}', ("trades", "ELM-USDT")),
        (b'{"arg":{"channel":"status"},"data":[]}', ("status", None)),
        (b'{"arg":{"channel":"sprd-tickers","sprdId":"A_B"},"data":[]}', ("sprd-tickers", "A_B")),
        (
            b'{"arg":{"channel":"orders","instType":"ANY","instId":"ELM-USDT","uid":"7"},"data":[]}',
            ("orders", "ELM-USDT"),
        ),
        (b'{"arg":{"instId":"ELM-USDT","channel":"trades"},"data":[]}', ("trades", "ELM-USDT")),
        (b'{"arg":{"channel":"a\\u0062c","instId":"x}y"},"data":[]}', ("abc", "x}y")),
        (b'{"data":[],"arg":{"channel":"books","instId":"E"}}', ("books", "E")),
        (
            b'{"id":"1","event":"subscribe","arg":{"channel":"books","instId":"E"},"connId":"a"}',
            ("books", "E"),
        ),
        (b'{"op":"subscribe","args":[{"channel":"books","instId":"E"}]}', ("books", "E")),
        (
            b'{"op":"subscribe","args":[{"channel":"a","instId":"E"},{"channel":"b"}]}',
            (None, None),
        ),
        (b'{"op":"login","args":[{"apiKey":"***","sign":"***"}]}', (None, None)),
        (b'{"op":"subscribe","args":[]}', (None, None)),
        (b'{"event":"error","msg":"no","code":"60018"}', (None, None)),
        (b'{"event":"channel-conn-count","channel":"orders","connCount":"2"}', (None, None)),
        (b"pong", (None, None)),
        (b"ping", (None, None)),
        (b"GET /api/v5/public/instruments?instType=SPOT", (None, None)),
        (b"", (None, None)),
        (b'{"arg":{"channel":"trades","instId":"ELM-USDT"', (None, None)),
        (b'{"arg":{"channel":"' + b"x" * 5000, (None, None)),
        (b'{"arg":{"channel":5},"data":[]}', (None, None)),
        (b'{"arg":{"channel":"books","instId":""},"data":[]}', ("books", None)),
        (b'{"arg":{"channel":"\xff","instId":"E"},"data":[]}', (None, None)),
        (b'{"arg":' * 5000, (None, None)),
    ],
)
def test_route(payload: bytes, expected: tuple[str | None, str | None]) -> None:
    assert route(payload) == expected


def test_many_at_once_are_routed_as_each_alone() -> None:
    payloads = [
        b'{"arg":{"channel":"trades","instId":"ELM-USDT"},"data":[]}',
        b'{"arg":{"channel":"trades","instId":"x}y"},"data":[]}',
        b'{"arg":{"channel":"trades","instId":"x"',
        b'{"arg":{"channel":"trades","extra":{"a":1},"instId":"E"},"data":[]}',
        b'{"arg":{"channel":"' + b"c" * 2000 + b'","instId":"E"},"data":[]}',
        b'{"op":"subscribe","args":[{"channel":"books","instId":"E"}]}',
        b"pong",
        b"",
        b"\xff",
    ]
    assert routes(payloads * 2) == [route(payload) for payload in payloads * 2]
    assert routes([]) == []
