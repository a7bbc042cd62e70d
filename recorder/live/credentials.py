"""Credentials of an account from the environment, or from files that it names.

Responsible for finding the three of them, for sentences that name a variable and never its value,
and for a warning where others may read a file of secrets. Refuses command lines and configuration
files: what stands there is seen by `ps` and ends up in backups.
"""

from __future__ import annotations

import os
import select
import stat
from collections.abc import Callable, Mapping
from io import FileIO
from urllib.parse import urlsplit

from recorder.errors import CredentialsError, UrlError, UsageError
from recorder.live.dial import is_loopback
from recorder.okx.auth import Credentials
from recorder.okx.hosts import Hosts

VARIABLES = ("OKX_API_KEY", "OKX_SECRET_KEY", "OKX_PASSPHRASE")
"""Where key, secret and passphrase are looked for; the same with `_FILE` names a file."""

_FILE_BYTES_MAX = 4096

_PIPE_WAIT_S = 10.0
"""So long a pipe may take for each part, e.g. that of `<(pass show okx/secret)`."""


def credentials_from_environment(
    environ: Mapping[str, str], *, notify: Callable[[str], None] = lambda _: None
) -> Credentials:
    """Return the credentials that `OKX_API_KEY`, `OKX_SECRET_KEY` and `OKX_PASSPHRASE` hold.

    `OKX_SECRET_KEY_FILE` and the like name a file that holds the value instead, in one line.

    Args:
        environ: usually `os.environ`. notify: told one sentence where others may read a file.

    Raises:
        CredentialsError: one is missing, given twice, empty, or its file cannot be read.
    """
    values, problem = _read(environ, notify)
    environ = {}  # a traceback with local variables shows none of them
    if not problem:
        try:
            return Credentials(*values)
        except UsageError as error:
            problem = str(error)
        finally:
            values = ()
    raise CredentialsError(problem)


def keep_secrets_off_the_wire(hosts: Hosts) -> None:
    """Refuse to send a login unencrypted to another machine.

    Raises:
        UrlError: the address is such a one.
    """
    parts = urlsplit(hosts.websocket)
    if parts.scheme != "wss" and not is_loopback(parts.hostname or ""):
        raise UrlError(
            f"expected a wss:// address to log in at, received {hosts.websocket}, where key and "
            f"passphrase would be readable on the way; use wss://, or leave out --private"
        )


def _read(environ: Mapping[str, str], notify: Callable[[str], None]) -> tuple[tuple[str, ...], str]:
    """Return the three values, or none and what is wrong; never raises with values in reach."""
    missing = [name for name in VARIABLES if not {name, f"{name}_FILE"} & environ.keys()]
    if missing:
        return (), (
            f"expected {', '.join(VARIABLES)} in the environment to log in with --private, "
            f"received no {' and no '.join(missing)}; set them, or {missing[0]}_FILE to the path "
            f"of a file that holds the value"
        )
    values = []
    for name in VARIABLES:
        file, value, problem = f"{name}_FILE", environ.get(name, "").strip(), ""
        if file in environ:
            if name in environ:
                problem = f"expected {name} or {file}, received both; unset one of them"
            else:
                value, problem = _from_file(environ[file], file, notify)
        if not value and not problem:
            where = f"the file that {file} names" if file in environ else name
            problem = f"expected a value in {where}, received nothing; write it there"
        if problem:
            return (), problem
        values.append(value)
    return tuple(values), ""


def _from_file(path: str, name: str, notify: Callable[[str], None]) -> tuple[str, str]:
    """Return the value in a file and what is wrong; warn where others may read it."""
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                notify(
                    f"warning: the file that {name} names may be read by others (mode "
                    f"{mode:04o}); chmod 600 it"
                )
            return _read_all(file).decode().strip(), ""
    except OSError as error:
        words = error.strerror or type(error).__name__
    except ValueError:  # not UTF-8, or a path that is none
        words = "it is no UTF-8 text"
    return "", f"expected a file with a value at the path in {name}, but {words}; check the path"


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe that nobody writes to would hold everything up, signals too."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_all(file: FileIO) -> bytes:
    """Read what is there, and from a pipe what comes until its end.

    Raises:
        TimeoutError: nothing more came and the pipe is still open.
    """
    read = b""
    while len(read) < _FILE_BYTES_MAX:
        if not select.select([file], [], [], _PIPE_WAIT_S)[0]:
            raise TimeoutError(None, f"nothing came through it for {_PIPE_WAIT_S:g} s")
        part = file.read(_FILE_BYTES_MAX - len(read))
        if part == b"":
            break
        read += part or b""
    return read
