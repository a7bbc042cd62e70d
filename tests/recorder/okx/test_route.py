"""Route: the index columns of a message, found without understanding it."""

from __future__ import annotations

import pytest

from recorder.okx.route import route


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
