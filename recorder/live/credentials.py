"""Credentials of an account from the environment, or from files that it names.

Responsible for finding the three of them, for sentences that name a variable and never its value,
and for a warning where others may read a file of secrets. Refuses command lines and configuration
files: what stands there is seen by `ps` and ends up in backups.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from recorder.errors import CredentialsError, UrlError, UsageError
from recorder.live.dial import is_loopback
from recorder.okx.auth import Credentials
from recorder.okx.hosts import Hosts

VARIABLES = ("OKX_API_KEY", "OKX_SECRET_KEY", "OKX_PASSPHRASE")
"""Where key, secret and passphrase are looked for; the same with `_FILE` names a file."""

_FILE_BYTES_MAX = 4096


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
    missing = [name for name in VARIABLES if name not in environ and f"{name}_FILE" not in environ]
    if missing:
        raise CredentialsError(
            f"expected {', '.join(VARIABLES)} in the environment to log in with --private, "
            f"received no {' and no '.join(missing)}; set them, or {missing[0]}_FILE to the path "
            f"of a file that holds the value"
        )
    values = [_value(environ, name, notify) for name in VARIABLES]
    try:
        return Credentials(*values)
    except UsageError as error:
        problem = str(error)
    finally:
        values.clear()  # a traceback with local variables shows none of them
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


def _value(environ: Mapping[str, str], name: str, notify: Callable[[str], None]) -> str:
    file = f"{name}_FILE"
    if name in environ and file in environ:
        raise CredentialsError(
            f"expected {name} or {file}, received both; unset the one that is not meant"
        )
    value = _from_file(environ[file], file, notify) if file in environ else environ[name].strip()
    if not value:
        where = f"the file that {file} names" if file in environ else name
        raise CredentialsError(f"expected a value in {where}, received nothing; write it there")
    return value


def _from_file(path: str, name: str, notify: Callable[[str], None]) -> str:
    """Return the one line of a file, warning where more people than its owner may read it."""
    problem = ""
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                notify(
                    f"warning: the file that {name} names may be read by others (mode "
                    f"{mode:04o}); chmod 600 it"
                )
            return file.read(_FILE_BYTES_MAX).decode().strip()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except UnicodeDecodeError:  # not chained to anything: it would carry the bytes
        problem = "it is no UTF-8 text"
    raise CredentialsError(
        f"expected a file with a value at the path in {name}, but {problem}; check the path"
    )
