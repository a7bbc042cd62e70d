"""Which account may log in to a served capture, as options say it.

Responsible for reading key, secret and passphrase from a file or from the environment. Refuses
command lines (`ps` shows them) and to show a value in any sentence.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from recorder.errors import UsageError
from recorder.okx.auth import Credentials, judge
from recorder.okx.exchange import Login, accept_any_login, refuse_login

_NAMES = ("OKX_API_KEY", "OKX_SECRET_KEY", "OKX_PASSPHRASE")
_FILE_BYTES_MAX = 4_096

LOGINS = ("any", "none", "env")
"""What `--login` may be, beside a file."""


def login_of(choice: str) -> Login:
    """Return the judge of logins that an option asks for.

    Args:
        choice: `any` accepts every complete login, `none` refuses all, `env` accepts the account
            in OKX_API_KEY, OKX_SECRET_KEY and OKX_PASSPHRASE; anything else names a file with
            these three, `NAME=value` a line.

    Raises:
        UsageError: the account is not there.
    """
    if choice == "any":
        return accept_any_login
    if choice == "none":
        return refuse_login
    if choice == "env":
        return judge(_credentials(os.environ, "the environment"))
    return judge(_credentials(_read(Path(choice)), choice))


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            text = file.read(_FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"expected --login as {', '.join(LOGINS)} or a file, received {path}, which cannot be "
            f"read: {error.strerror}"
        ) from error
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name in _NAMES:
            found[name] = value.strip("\"'")
    return found


def _credentials(values: Mapping[str, str], where: str) -> Credentials:
    missing = [name for name in _NAMES if not values.get(name)]
    if missing:
        raise UsageError(f"expected {', '.join(_NAMES)} in {where}, missing {', '.join(missing)}")
    return Credentials(*(values[name] for name in _NAMES))
