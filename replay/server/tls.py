"""TLS for a served capture: a given certificate, or one made on the spot and kept.

Responsible for the files and for saying what is wrong with them. Refuses to make a certificate:
`certificate` does.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from recorder.errors import StartError, UsageError
from replay.server.certificate import make_pair

_DAYS, _DAYS_LEFT = 800, 60  # some systems refuse server certificates of more than 825 days
_LOCAL = ("localhost", "127.0.0.1", "::1")


def load_pair(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a listening socket needs of two PEM files.

    Raises:
        UsageError: they cannot be read, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(
            f"expected a certificate in {certificate} and its key in {key}, both PEM, but they "
            f"cannot be used: {error.strerror or error}"
        ) from error
    return context


def kept_pair(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """Return TLS with a certificate of this machine's own, made if it is not there yet.

    Args:
        folder: where it is kept: `ca.pem` for clients to trust, `server.pem` and `server.key`, in
            a folder for each host; only its owner may read it.
        host: where the server listens; `localhost`, 127.0.0.1 and ::1 are in it as well.

    Returns:
        What the socket needs, and the file that clients are to trust.

    Raises:
        StartError: it cannot be kept there.
    """
    hosts = [*_LOCAL, *([] if host in ("", "0.0.0.0", "::", *_LOCAL) else [host])]
    home = folder / ("local" if len(hosts) == len(_LOCAL) else host.replace(":", "-"))
    authority, chain, key = (home / name for name in ("ca.pem", "server.pem", "server.key"))
    now = datetime.fromtimestamp(time.time(), UTC)
    try:
        if not _is_fresh(home, now):
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            pair = make_pair(hosts, now, days=_DAYS)
            for path, text in ((key, pair.key), (chain, pair.chain), (authority, pair.authority)):
                _write(path, text)
        return load_pair(chain, key), authority
    except OSError as error:
        raise StartError(
            f"expected to keep a certificate in {home}, but the system said {error.strerror}; "
            f"give one with --tls-cert and --tls-key"
        ) from error


def _is_fresh(home: Path, now: datetime) -> bool:
    with suppress(FileNotFoundError):
        made = min((home / name).stat().st_mtime for name in ("ca.pem", "server.pem", "server.key"))
        until = datetime.fromtimestamp(made, UTC) + timedelta(days=_DAYS - _DAYS_LEFT)
        return now < until
    return False


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner may read, all of it or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    os.replace(name, path)
