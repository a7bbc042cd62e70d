"""Place: where a capture lies, a directory on disk or a folder of an object store.

Responsible for the few things that reading asks of a place (list, sizes, whole small files, ranges
of large ones), so that one reader serves both. Refuses to write to a store, to lock anything in it,
and to name what opens it: a place is shown as `s3://bucket/prefix`, without user, key or options.

Of a store, `s3://bucket/prefix` is opened by the rules of pyarrow: credentials and region from the
environment or the machine's role (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE` …), another endpoint from
`AWS_ENDPOINT_URL` or from the address, `?endpoint_override=http://127.0.0.1:9000`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from recorder.errors import StoreFailed, UsageError

_STORE = re.compile(r"(s3|gs|gcs|abfs|abfss)://", re.IGNORECASE)

_REFUSAL = re.compile(r"AWS Error (\w+)|google::cloud|Azure Error|curlCode")
"""How pyarrow tells that a store did not answer, or refused; other errors are of the bytes."""


class Remote:
    """A folder or a file of an object store, with as much of `Path` as a reader needs."""

    __slots__ = ("_filesystem", "_key", "_scheme")

    def __init__(self, filesystem: Any, key: str, *, scheme: str = "s3") -> None:
        """Name a place in a store.

        Args:
            filesystem: of `pyarrow.fs`. key: bucket and prefix.
        """
        self._filesystem = filesystem
        self._key = key.strip("/")
        self._scheme = scheme

    def __truediv__(self, name: str) -> Remote:
        return Remote(self._filesystem, f"{self._key}/{name}", scheme=self._scheme)

    def __str__(self) -> str:
        return f"{self._scheme}://{self._key}"

    def __repr__(self) -> str:
        return f"Remote({str(self)!r})"

    @property
    def name(self) -> str:
        """The last part."""
        return self._key.rpartition("/")[2]

    @property
    def parent(self) -> Remote:
        """What it lies in."""
        return Remote(self._filesystem, self._key.rpartition("/")[0], scheme=self._scheme)

    @property
    def key(self) -> str:
        """Bucket and prefix, as `filesystem` wants them."""
        return self._key

    @property
    def scheme(self) -> str:
        """How its address begins, e.g. `s3`."""
        return self._scheme

    @property
    def filesystem(self) -> Any:
        """What opens it; of `pyarrow.fs`."""
        return self._filesystem

    def absolute(self) -> Remote:
        """Return the same: there is no working directory in a store."""
        return self

    def resolve(self) -> Remote:
        """Return the same: there are no links in a store."""
        return self

    def exists(self) -> bool:
        """Tell whether a file or a folder is there."""
        return str(self._info().type.name) != "NotFound"

    def is_dir(self) -> bool:
        """Tell whether something lies below it."""
        return str(self._info().type.name) == "Directory"

    def size(self) -> int:
        """Return the bytes of a file.

        Raises:
            FileNotFoundError: it is not there.
        """
        info = self._info()
        if not info.is_file:
            raise FileNotFoundError(str(self))
        return int(info.size)

    def read_bytes(self) -> bytes:
        """Return a whole, small file.

        Raises:
            FileNotFoundError: it is not there. StoreFailed: the store did not answer, or refused.
        """
        with _told(self), self._filesystem.open_input_file(self._key) as file:
            return bytes(file.read())

    def open(self) -> Any:
        """Open a file to read ranges of it; `pyarrow.parquet` takes it.

        Raises:
            FileNotFoundError: it is not there. StoreFailed: the store did not answer, or refused.
        """
        with _told(self):
            return self._filesystem.open_input_file(self._key)

    def tail(self, size: int) -> bytes:
        """Return the last bytes of a file, all of it where it is shorter.

        Raises:
            FileNotFoundError: it is not there. StoreFailed: the store did not answer, or refused.
        """
        with _told(self), self._filesystem.open_input_file(self._key) as file:
            length = min(size, file.size())
            return bytes(file.read_at(length, file.size() - length))

    def sizes(self) -> dict[str, int | None]:
        """Return the names in this folder and the bytes of each; None where it is a folder.

        Raises:
            FileNotFoundError: nothing lies below it.
        """
        from pyarrow.fs import FileSelector

        with _told(self):
            found = self._filesystem.get_file_info(FileSelector(self._key))
        return {info.base_name: info.size if info.is_file else None for info in found}

    def _info(self) -> Any:
        with _told(self):
            return self._filesystem.get_file_info(self._key)


Place: TypeAlias = Path | Remote
"""A directory or file on disk, or one of an object store."""

Where: TypeAlias = str | os.PathLike[str] | Remote
"""How a person names a place."""


def is_store(where: object) -> bool:
    """Tell whether a text is the address of an object store."""
    return isinstance(where, Remote) or (isinstance(where, str) and bool(_STORE.match(where)))


def place_of(where: Where) -> Place:
    """Return the place that a path or an address names; nothing is opened for it.

    Raises:
        UsageError: the address is malformed, or of a store that this pyarrow cannot open.
    """
    if isinstance(where, Remote):
        return where
    if not isinstance(where, str) or not _STORE.match(where):
        return Path(where)
    from pyarrow.fs import FileSystem  # a recorder has no need of it

    scheme = where.partition("://")[0].lower()
    try:
        filesystem, key = FileSystem.from_uri(_with_endpoint(where))
    except (ValueError, OSError, ImportError, NotImplementedError) as error:
        # Not `from error`: pyarrow repeats the address, which may hold a secret key.
        reason = type(error).__name__ if "@" in where else str(error).partition("\n")[0]
        raise UsageError(
            f"expected the address of a store, as in s3://bucket/prefix, received "
            f"{_shown(where)}, which pyarrow cannot open: {reason}"
        ) from None
    return Remote(filesystem, key, scheme=scheme)


def _with_endpoint(where: str) -> str:
    """Return an address whose endpoint may be written as a URL: pyarrow wants host and scheme."""
    parts = urlsplit(where)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    scheme, found, host = options.get("endpoint_override", "").partition("://")
    if not found:
        return where
    options["endpoint_override"] = host.rstrip("/")
    options.setdefault("scheme", scheme)
    return parts._replace(query=urlencode(options)).geturl()


def _shown(where: str) -> str:
    """Return an address without user, key and options."""
    scheme, _, rest = where.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


@contextmanager
def _told(place: Remote) -> Iterator[None]:
    """Turn what a store answers into one sentence; a missing file stays FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise store_failure(place, error) from error


def is_refusal(error: BaseException) -> bool:
    """Tell whether an error of pyarrow is of the store, not of the bytes it gave."""
    return isinstance(error, OSError) and _REFUSAL.search(str(error)) is not None


def store_failure(place: Remote, error: BaseException) -> StoreFailed:
    """Return the error for a store that did not answer, or refused."""
    said = str(error).partition("\n")[0]
    found = _REFUSAL.search(said)
    code = found[1] if found and found[1] else ""
    if code == "NO_SUCH_BUCKET":
        advice = "name a bucket that exists"
    elif code in ("ACCESS_DENIED", "INVALID_ACCESS_KEY_ID", "SIGNATURE_DOES_NOT_MATCH"):
        advice = "check the credentials in the environment, e.g. AWS_PROFILE or AWS_ACCESS_KEY_ID"
    else:
        advice = "check the network, the region (AWS_REGION) and the endpoint (AWS_ENDPOINT_URL)"
    return StoreFailed(f"expected to read {place}, but the store says: {said}; {advice}")


def names_in(folder: Place) -> list[str]:
    """Return the names in a folder, in no particular order.

    Raises:
        FileNotFoundError: it is not there. NotADirectoryError: it is a file.
    """
    return list(folder.sizes()) if isinstance(folder, Remote) else os.listdir(folder)


def size_of(file: Place) -> int:
    """Return the bytes of a file.

    Raises:
        FileNotFoundError: it is not there.
    """
    return file.size() if isinstance(file, Remote) else file.stat().st_size


def sizes_in(folder: Place) -> Mapping[str, int | None]:
    """Return the files in a folder and the bytes of each; nothing where it is not there."""
    found: dict[str, int | None] = {}
    try:
        if isinstance(folder, Remote):
            return folder.sizes()
        for entry in os.scandir(folder):
            try:
                found[entry.name] = entry.stat().st_size
            except FileNotFoundError:
                continue
    except FileNotFoundError:
        pass
    return found


def on_disk(place: Place, what: str) -> Path:
    """Return a place as a path.

    Raises:
        UsageError: it lies in a store; `what` is what cannot be done there, e.g. `served`.
    """
    if isinstance(place, Remote):
        raise UsageError(
            f"expected a capture on disk, received {place}, which can be queried and played but "
            f"not {what}; copy it to a disk first"
        )
    return place
