"""Configuration files: TOML in, settings out, and the other way round.

Responsible for reading one strictly (every unknown key and every value of a wrong kind is named,
with its line) and for writing settings as such a file. Refuses to hold secrets: a key that looks
like one is an error, and its value is never shown.

    [record]
    out = "captures/majors"
    segment_seconds = 60

    [record.channels]                       # channel = its instruments
    books = ["BTC-USDT", "*-USDT-SWAP"]
    candle1m = ["BTC-USDT"]
    status = []                             # a channel that takes none

The keys of `[record]` are the long options of `recorder record` with `_` for `-`.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from recorder.errors import ConfigError, UsageError
from recorder.live.settings import SETTINGS
from recorder.okx.channels import CHANNELS
from recorder.okx.subscription import make_subscription
from recorder.sinks.addresses import masked, secrets_of

_TABLE = "record"
_CHANNELS = "channels"
_SINK = "sink"
_SECRET = re.compile(r"api_?key|secret|pass_?phrase|password|token|credential|^sign$", re.I)
_AT_LINE = re.compile(r"\(at line (\d+),")
_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*([\w."' -]+?)\s*=""")
_BYTES_MAX = 1 << 20


def read_config(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings a TOML file gives, by the names of `SETTINGS`.

    `[record.channels]` becomes part of `subscribe`. Paths stay relative to the working directory.

    Raises:
        ConfigError: it is no such file; the sentence names key, line and file.
    """
    name = os.fspath(path)
    text = _text_of(name)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _AT_LINE.search(str(error))
        raise ConfigError(
            f"expected TOML in {name}, received something else: {error}",
            file=name,
            line=int(line[1]) if line else None,
        ) from None
    reader = _Reader(name, text)
    reader.refuse_secrets(document, "")
    for key, value in document.items():
        if key != _TABLE:
            raise reader.unknown(key, "the table [record]", [_TABLE], "")
        if not isinstance(value, dict):
            raise reader.wrong(key, "a table such as [record]", value)
    return reader.settings(document.get(_TABLE, {}))


def config_text(settings: Mapping[str, Any]) -> str:
    """Return settings as the text of a file that `read_config` reads back; None is left out."""
    lines = [f"[{_TABLE}]"]
    for name in SETTINGS:
        value = settings.get(name)
        if name == _SINK and value is not None:
            value = [masked(text) for text in value]
        if value is not None and value != () and value != []:
            lines.append(f"{name} = {_listed(value) or _toml(value)}")
    return "\n".join(lines) + "\n"


class _Reader:
    """One file, with what its errors need: its name, and where a key stands."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = _lines_of(text)

    def settings(self, table: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in table.items():
            dotted = f"{_TABLE}.{key}"
            if key == _CHANNELS:
                continue
            if key == _SINK:
                self.refuse_passwords(dotted, value)
            setting = SETTINGS.get(key)
            if setting is None:
                known = [*SETTINGS, _CHANNELS]
                raise self.unknown(dotted, "a setting", known, "`recorder record --help` has them")
            if not setting.accepts(value):
                raise self.wrong(dotted, setting.expected, value)
            found[key] = setting.read(value)
        if _CHANNELS in table:
            asked = self._channels(table[_CHANNELS])
            found["subscribe"] = [*found.get("subscribe", []), *asked]
        return found

    def refuse_secrets(self, table: Mapping[str, Any], prefix: str) -> None:
        """Refuse a key that looks like a secret, wherever it stands; its value is not shown."""
        for key, value in table.items():
            dotted = f"{prefix}{key}"
            if _SECRET.search(key.replace("-", "_")):
                raise ConfigError(
                    f"expected no secret in a configuration file, received {dotted} in "
                    f"{self._where(dotted)}; put it into the environment: OKX_API_KEY, "
                    f"OKX_SECRET_KEY and OKX_PASSPHRASE, or each with _FILE and a path",
                    file=self._name,
                    key=dotted,
                    line=self._lines.get(dotted),
                )
            if isinstance(value, dict):
                self.refuse_secrets(value, f"{dotted}.")

    def refuse_passwords(self, key: str, value: Any) -> None:
        """Refuse the address of a sink with a password in it, which is not shown."""
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and secrets_of(text) for text in texts):
            raise ConfigError(
                f"expected no password in a configuration file, received one in {key} in "
                f"{self._where(key)}; PostgreSQL takes it from PGPASSWORD or ~/.pgpass, Redis from "
                f"a file named by ?password_file=",
                file=self._name,
                key=key,
                line=self._lines.get(key),
            )

    def unknown(
        self, key: str, expected: str, known: Sequence[str], where_listed: str
    ) -> ConfigError:
        """Return the error for a key that is none, with the nearest one that is."""
        near = get_close_matches(key.rpartition(".")[2], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else where_listed
        return ConfigError(
            f"expected {expected}, received {key} in {self._where(key)}{hint and '; '}{hint}",
            file=self._name,
            key=key,
            line=self._lines.get(key),
        )

    def wrong(self, key: str, expected: str, value: Any) -> ConfigError:
        """Return the error for a value of the wrong kind or range."""
        return ConfigError(
            f"{key}: expected {expected}, received {_short(value)} in {self._where(key)}",
            file=self._name,
            key=key,
            line=self._lines.get(key),
        )

    def _channels(self, table: Any) -> list[str]:
        """Return `[record.channels]` as subscriptions in text."""
        if not isinstance(table, dict):
            raise self.wrong(f"{_TABLE}.{_CHANNELS}", "a table of channel = [instruments]", table)
        found: list[str] = []
        for name, values in table.items():
            key = f"{_TABLE}.{_CHANNELS}.{name}"
            if name not in CHANNELS:
                known = list(CHANNELS)
                raise self.unknown(key, "an OKX channel", known, "`recorder channels` lists them")
            if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
                raise self.wrong(key, 'a list of texts, e.g. ["BTC-USDT"]', values)
            subject = CHANNELS[name].subject
            if values and subject is None:
                raise self.wrong(key, "[] for a channel without an argument", values)
            try:
                asked = [make_subscription(name, {str(subject): item}) for item in values]
                asked = asked or [make_subscription(name, {})]
            except UsageError as error:
                raise ConfigError(
                    f"{key}: {error}, in {self._where(key)}",
                    file=self._name,
                    key=key,
                    line=self._lines.get(key),
                ) from None
            found += [str(item) for item in asked]
        return found

    def _where(self, key: str) -> str:
        line = self._lines.get(key)
        return self._name if line is None else f"{self._name}:{line}"


def _text_of(name: str) -> str:
    try:
        with open(name, "rb") as file:
            raw = file.read(_BYTES_MAX + 1)
        if len(raw) > _BYTES_MAX:
            raise ConfigError(
                f"expected a configuration file of at most {_BYTES_MAX} bytes, "
                f"received more in {name}",
                file=name,
            )
        return raw.decode()
    except OSError as error:
        raise ConfigError(
            f"expected a configuration file at {name}, but the system said {error.strerror}; "
            f"docs/examples/record.toml is one to start from",
            file=name,
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"expected TOML in UTF-8 in {name}, received bytes", file=name) from None


def _lines_of(text: str) -> dict[str, int]:
    """Return on which line each key and table stands; good enough for a sentence.

    tomllib keeps no positions. A line inside a multi-line value may look like a key: the first one
    of a name wins, and no line is better than a wrong table, so odd keys are left out.
    """
    found: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            name = header[1].replace('"', "").replace("'", "")
            found.setdefault(name, number)
            prefix = f"{name}."
        elif key := _KEY.match(line):
            name = prefix + key[1].replace('"', "").replace("'", "").replace(" ", "")
            found.setdefault(name, number)
    return found


def _listed(value: Any) -> str | None:
    """Return a list of several with an item a line, as a person reads it; None for the rest."""
    if not isinstance(value, list | tuple) or len(value) < 2:
        return None
    return "\n".join(["[", *(f"    {_toml(item)}," for item in value), "]"])


def _short(value: Any) -> str:
    """Return a value as TOML writes it, cut to what a sentence can bear."""
    text = _toml(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _toml(value: Any) -> str:
    """Return a value in TOML's words; anything a setting may be, and what a file may hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return "a table"
    return str(value)
