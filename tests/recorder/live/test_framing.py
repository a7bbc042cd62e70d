"""Framing against the protocol core alone: whatever bytes in whatever chunks, the same outcome."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame as WireFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from recorder.frame import Kind
from recorder.live.framing import Framing

MAX_SIZE = 3_000_000
KINDS = {Opcode.TEXT: Kind.TEXT, Opcode.BINARY: Kind.BINARY}


def connecting() -> ClientProtocol:
    core = ClientProtocol(parse_uri("ws://venue/x"), max_size=MAX_SIZE)
    core.send_request(core.connect())
    core.data_to_send()
    return core


def answer_to(core: ClientProtocol) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(core.key)}\r\n\r\n"
    ).encode()


def plain_messages(core: ClientProtocol, data: bytes) -> list[tuple[Kind, bytes]]:
    """What the core alone makes of a stream, joined by the RFC's rule."""
    core.receive_data(data)
    messages, kind, parts = [], Kind.TEXT, b""
    for event in core.events_received():
        if not isinstance(event, WireFrame) or event.opcode > Opcode.BINARY:
            continue
        if event.opcode is not Opcode.CONT:
            kind, parts = KINDS[event.opcode], b""
        parts += event.data
        if event.fin:
            messages.append((kind, parts))
    return messages


def check(stream: bytes, cuts: Sequence[int]) -> list[tuple[Kind, bytes]]:
    """Feed both, compare messages, answers and the state they end in."""
    bare, core = connecting(), connecting()
    expected = plain_messages(bare, answer_to(bare) + stream)
    framing, received = Framing(core, MAX_SIZE), []
    whole, start = answer_to(core) + stream, 0
    for end in sorted({*(cut % (len(whole) + 1) for cut in cuts), len(whole)} - {0}):
        received += framing.receive(whole[start:end])
        start = end
    assert received == expected
    assert core.state is bare.state
    assert (core.close_rcvd, str(core.parser_exc)) == (bare.close_rcvd, str(bare.parser_exc))
    # Answers are masked at random: compare how many bytes of each kind there are.
    sizes = [[len(data) for data in c.data_to_send()] for c in (core, bare)]
    assert sizes[0] == sizes[1]
    for protocol in (core, bare):
        protocol.receive_eof()
        assert protocol.state is State.CLOSED
    assert core.close_code == bare.close_code
    return received


def wire(opcode: Opcode, payload: bytes, *, fin: bool = True, mask: bool = False) -> bytes:
    return WireFrame(opcode, payload, fin=fin).serialize(mask=mask)


PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.builds(lambda n, b: bytes([b]) * n, st.sampled_from([125, 126, 127, 65_535, 65_536]),
              st.integers(0, 255)),
)  # fmt: skip
WHOLE = st.builds(wire, st.sampled_from([Opcode.TEXT, Opcode.BINARY]), PAYLOADS)
CONTROL = st.builds(wire, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


@st.composite
def fragmented(draw: st.DrawFn) -> bytes:
    parts = draw(st.lists(PAYLOADS, min_size=2, max_size=4))
    opcode = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
    found = wire(opcode, parts[0], fin=False)
    for number, part in enumerate(parts[1:], 2):
        if draw(st.booleans()):
            found += wire(Opcode.PING, b"between")
        found += wire(Opcode.CONT, part, fin=number == len(parts))
    return found


BROKEN = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.builds(lambda p: wire(Opcode.TEXT, p, mask=True), st.binary(max_size=9)),
    st.builds(lambda p: wire(Opcode.CONT, p), st.binary(max_size=9)),
    st.builds(lambda p: wire(Opcode.TEXT, p, fin=False), st.binary(max_size=9)),
    st.just(wire(Opcode.CLOSE, b"\x0f\xa4No data received in 30s.")),
    st.just(b"\xc1\x01x"),  # a reserved bit
    st.just(b"\x81\x7f" + (MAX_SIZE + 1).to_bytes(8)),
)
STREAMS = st.lists(st.one_of(WHOLE, WHOLE, WHOLE, CONTROL, fragmented(), BROKEN), max_size=12)


@settings(max_examples=200, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 400_000), max_size=30))
@example([b"\x81\x7f" + (2**63).to_bytes(8)], [])
@example([b"\x81\x7e\x00"], [])
@example([b"\x81\xfe\x00\x05"], [3])
def test_any_stream_in_any_chunks(frames: list[bytes], cuts: list[int]) -> None:
    check(b"".join(frames), cuts)


def test_long_messages_in_small_reads() -> None:
    long = bytes(range(256)) * 8_000  # 2 MB: streamed into the core
    stream = b"".join(
        [wire(Opcode.TEXT, b"before"), wire(Opcode.BINARY, long), wire(Opcode.TEXT, b"after"),
         wire(Opcode.TEXT, long[:-1], fin=False), wire(Opcode.CONT, b"end"),
         wire(Opcode.TEXT, b"last")]
    )  # fmt: skip
    received = check(stream, range(0, len(stream), 65_536))
    assert [len(payload) for _, payload in received] == [
        6, len(long), 5, len(long) + 2, 4
    ]  # fmt: skip


def test_every_cut_of_a_short_stream() -> None:
    stream = b"".join(
        [wire(Opcode.TEXT, b"ab"), wire(Opcode.PING, b"p"), wire(Opcode.BINARY, b"x" * 130),
         wire(Opcode.TEXT, b"fr", fin=False), wire(Opcode.CONT, b"ag"),
         wire(Opcode.CLOSE, b"\x03\xe8"), wire(Opcode.TEXT, b"too late")]
    )  # fmt: skip
    expected = [(Kind.TEXT, b"ab"), (Kind.BINARY, b"x" * 130), (Kind.TEXT, b"frag")]
    for cut in range(len(stream) + 200):
        assert check(stream, [cut]) == expected
    assert check(stream, range(len(stream) + 200)) == expected


def test_an_error_page_that_comes_after_its_head() -> None:
    core = connecting()
    framing = Framing(core, MAX_SIZE)
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n"
    for part in (head[:5], head[5:], b"come ", b"back"):
        assert framing.receive(part) == []
    assert "503" in str(core.handshake_exc)


class CountingCore(ClientProtocol):
    """A core that counts the bytes it is handed after the handshake."""

    bytes_taken = 0

    def receive_data(self, data: bytes | bytearray) -> None:
        if self.state is not State.CONNECTING:
            self.bytes_taken += len(data)
        super().receive_data(data)


def test_plain_messages_do_not_pass_through_the_core() -> None:
    core = CountingCore(parse_uri("ws://venue/x"), max_size=MAX_SIZE)
    core.send_request(core.connect())
    framing = Framing(core, MAX_SIZE)
    plain = b"".join(wire(Opcode.TEXT, b"x" * size) for size in (0, 1, 125, 126, 70_000))
    ping = wire(Opcode.PING, b"p")
    stream = answer_to(core) + plain + ping + plain
    received = [m for i in range(0, len(stream), 999) for m in framing.receive(stream[i : i + 999])]
    assert len(received) == 10
    assert core.bytes_taken == len(ping)
