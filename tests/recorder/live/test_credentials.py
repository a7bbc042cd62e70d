"""Keys from the environment or from files; sentences that name a variable and never its value."""

from __future__ import annotations

import os
import threading
import traceback
from io import FileIO
from pathlib import Path

import pytest

from recorder.errors import CredentialsError, ExitCode
from recorder.live import credentials as module
from recorder.live.credentials import VARIABLES, credentials_from_environment
from recorder.okx.auth import login_request

SECRETS = ("key-4f1c9a", "secret-77de20", "phrase-c0ffee")
ENVIRONMENT = dict(zip(VARIABLES, SECRETS, strict=True))


def shown(environ: dict[str, str]) -> str:
    """Everything a traceback with the variables of its frames would show, and the sentence."""
    with pytest.raises(CredentialsError) as caught:
        credentials_from_environment(environ)
    assert caught.value.exit_code is ExitCode.USAGE
    error = caught.value
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # not this test's own frames
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(told.format())
    assert not [secret for secret in SECRETS if secret in text]
    return str(error)


def test_from_the_environment() -> None:
    credentials = credentials_from_environment({**ENVIRONMENT, "HOME": "/x"})
    request = login_request(credentials, 1_790_000_000, "r1")
    assert b'"apiKey":"key-4f1c9a","passphrase":"phrase-c0ffee"' in request
    assert repr(credentials) == "Credentials(***)"


def test_from_files(tmp_path: Path) -> None:
    told: list[str] = []
    environ = {}
    for name, value in ENVIRONMENT.items():
        path = tmp_path / name
        path.write_text(f"{value}\n")
        path.chmod(0o644 if name == VARIABLES[1] else 0o600)
        environ[f"{name}_FILE"] = str(path)
    credentials = credentials_from_environment(environ, notify=told.append)
    assert b'"apiKey":"key-4f1c9a"' in login_request(credentials, 1_790_000_000, "r1")
    assert told == [
        "warning: the file that OKX_SECRET_KEY_FILE names may be read by others (mode 0644); "
        "chmod 600 it"
    ]


def test_what_is_missing_is_named() -> None:
    sentence = shown({VARIABLES[0]: SECRETS[0]})
    assert "received no OKX_SECRET_KEY and no OKX_PASSPHRASE; set them" in sentence
    assert "OKX_SECRET_KEY_FILE" in sentence


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"OKX_PASSPHRASE": " "}, "expected a value in OKX_PASSPHRASE, received nothing"),
        ({"OKX_API_KEY_FILE": "/x"}, "expected OKX_API_KEY or OKX_API_KEY_FILE, received both"),
        ({"OKX_API_KEY": "key-4f1c9a\nkey-4f1c9a"}, "without line breaks"),
        ({"OKX_PASSPHRASE": "phrase-c0ffee" * 100}, "1 to 512 bytes"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, str], words: str) -> None:
    assert words in shown(ENVIRONMENT | change)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "received nothing"), (b"\xff\xfe", "no UTF-8 text")],
)
def test_a_file_that_does_not_do(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    environ = {**ENVIRONMENT, "OKX_API_KEY_FILE": str(path)}
    del environ["OKX_API_KEY"]
    sentence = shown(environ)
    assert words in sentence
    assert "OKX_API_KEY_FILE" in sentence


def test_through_a_pipe() -> None:
    """As of `OKX_SECRET_KEY_FILE=<(pass show okx/secret)`, which is a pipe at /dev/fd/N."""

    def write(pipe: FileIO) -> None:
        pipe.write(b"key-4f1c9a\n")
        pipe.close()

    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb", buffering=0) as pipe:
        late = threading.Timer(0.2, write, (pipe,))
        late.start()
        environ = {**ENVIRONMENT, "OKX_API_KEY_FILE": f"/dev/fd/{reading}"}
        del environ["OKX_API_KEY"]
        credentials = credentials_from_environment(environ)
        late.join()
    assert b'"apiKey":"key-4f1c9a"' in login_request(credentials, 1_790_000_000, "r1")


def test_a_named_pipe_that_nobody_writes_to_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIPE_WAIT_S", 0.05)
    path = tmp_path / "key"
    os.mkfifo(path, 0o600)
    environ = {**ENVIRONMENT, "OKX_API_KEY_FILE": str(path)}
    del environ["OKX_API_KEY"]
    assert "OKX_API_KEY_FILE, but nothing came through it for 0.05 s" in shown(environ)
