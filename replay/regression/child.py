"""Child: one parser in a process of its own, fed with frames, answering with events as JSON.

Started as a script, by its path, so that the `recorder` package beside it may be of any version: it
imports nothing of `replay`. Responsible for loading the parser and for timing it. Refuses to read a
capture (formats change; its parent reads) and to end because a parser raised: that is an answer.

Protocol, little-endian. In: a hello (JSON, see `main`), then batches: a length, then canonical
records. Out: a hello, then for each batch its length, the nanoseconds spent in the parser, and one
line for each frame: a JSON array of its events. A batch of length 0 ends it.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

HEAD = struct.Struct("<I")
ANSWER = struct.Struct("<IQ")


def main() -> None:
    """Answer batches until there are no more.

    The hello is `{"path": [directories], "parser": "step" | "parse" | "MODULE:NAME", "state":
    base64 or null}`; the answer `{"mode": "step" | "parse", "version": N}` or `{"error": "…"}`.
    """
    talk = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints must not end up among the answers
    source = sys.stdin.buffer
    import json

    hello = json.loads(_take(source))
    sys.path[:0] = hello["path"]
    try:
        mode, parse, encode = _load(hello["parser"], hello["state"])
        answer = {"mode": mode, "version": _version()}
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        answer = {"error": f"{type(error).__name__}: {error}"}
    _give(talk, json.dumps(answer).encode())
    if "error" in answer:
        return
    from recorder.frame import KINDS, RECORD, Frame

    clock = time.perf_counter_ns
    while data := _take(source):
        spent, at, lines = 0, 0, []
        while at < len(data):
            seq, ts_recv, ts_mono, connection, kind, size = RECORD.unpack_from(data, at)
            at += RECORD.size
            frame = Frame(seq, ts_recv, ts_mono, connection, KINDS[kind], data[at : at + size])
            at += size
            begin = clock()
            try:
                events = parse(frame)
            except Exception as error:  # noqa: BLE001 - a difference like any other
                events = [{"type": "Raised", "error": f"{type(error).__name__}: {error}"}]
            spent += clock() - begin
            lines.append(b"[" + b",".join([encode(event) for event in events or ()]) + b"]")
        body = b"\n".join(lines)
        talk.write(ANSWER.pack(len(body), spent) + body)
        talk.flush()


def _load(parser: str, state: str | None) -> tuple[str, Callable[[Any], Any], Callable[..., bytes]]:
    """Return what to call with frames, and how its events become JSON."""
    import base64
    from importlib import import_module

    import msgspec

    encode = msgspec.json.Encoder(decimal_format="string", enc_hook=str).encode
    if parser == "parse":
        from recorder.okx.parser import parse

        return "parse", parse, encode
    if parser == "step":
        from recorder.okx.interpreter import Interpreter

        interpreter = Interpreter()
        if state is not None:
            with suppress(ValueError):  # of another version: it begins without books
                interpreter = Interpreter.restore(base64.b64decode(state))
        return "step", interpreter.step, encode
    module, _, name = parser.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, type):
        found = found()
    for mode in ("step", "parse"):
        if callable(getattr(found, mode, None)):
            return mode, getattr(found, mode), encode
    if not callable(found):
        raise TypeError(f"{parser} is neither callable nor has a method `parse` or `step`")
    return "parse", found, encode


def _version() -> int | None:
    try:
        from recorder.okx.parser import PARSER_VERSION
    except ImportError:
        return None
    return PARSER_VERSION


def _take(source: BinaryIO) -> bytes:
    head = source.read(HEAD.size)
    return source.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


def _give(target: BinaryIO, body: bytes) -> None:
    target.write(HEAD.pack(len(body)) + body)
    target.flush()


if __name__ == "__main__":
    main()
