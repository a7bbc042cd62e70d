"""A server that sends pre-built WebSocket frames as fast as the socket takes them.

Responsible for being the faster side: the receiver under test is the only thing measured. Every
frame is encoded once, before the first client connects; the loop then only calls `sendall`.
Subscribe requests are acked by the project's own venue side, so that a real recorder can connect.

    python -m tests.bench.blast FRAMES.bin ROUNDS     prints its port, serves one client, ends
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

CHUNK = 1 << 18


def wire(payloads: list[bytes]) -> bytes:
    """Return the payloads as unmasked text frames, one after another."""
    return b"".join(
        Frame(Opcode.TEXT, payload).serialize(mask=False, extensions=[]) for payload in payloads
    )


def serve_one(listener: socket.socket, stream: bytes, rounds: int) -> None:
    """Shake hands with one client, wait for its first message, then send everything and close."""
    client, _ = listener.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    protocol = ServerProtocol()
    subscribed = False
    while not subscribed:
        protocol.receive_data(client.recv(65536))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            else:
                subscribed = True
                # One ack is enough to start a recorder's clock.
                protocol.send_text(
                    b'{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},'
                    b'"connId":"00000000"}'
                )
        for data in protocol.data_to_send():
            client.sendall(data)
    view = memoryview(stream)
    for _ in range(rounds):
        for start in range(0, len(view), CHUNK):
            client.sendall(view[start : start + CHUNK])
    protocol.send_close(1000)
    for data in protocol.data_to_send():
        client.sendall(data)
    client.settimeout(30)
    try:
        while client.recv(65536):
            pass
    except OSError:
        pass
    client.close()


def main() -> None:
    """Serve one client with the payloads of a file (u32 length before each), then end."""
    source, rounds = Path(sys.argv[1]).read_bytes(), int(sys.argv[2])
    payloads = []
    at = 0
    while at < len(source):
        length = int.from_bytes(source[at : at + 4], "little")
        payloads.append(source[at + 4 : at + 4 + length])
        at += 4 + length
    stream = wire(payloads)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        serve_one(listener, stream, rounds)


if __name__ == "__main__":
    main()
