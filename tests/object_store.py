"""A real object store on this machine, for tests: moto's server, which speaks S3 over HTTP.

It takes any credentials, so it says nothing about refused ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyarrow import fs

BUCKET = "market"


class Store(NamedTuple):
    """A store that listens.

    Attributes:
        url: where. filesystem: of pyarrow, to put files there.
        requests: of each request its method, path and the bytes that the answer held.
    """

    url: str
    filesystem: Any
    requests: list[tuple[str, str, int]]

    def address(self, prefix: str) -> str:
        """Return how a person names a place in it."""
        return f"s3://{BUCKET}/{prefix}?endpoint_override={self.url}"

    def put(self, folder: Path, prefix: str) -> str:
        """Copy a folder into the store; return its address."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        for path in files:
            key = f"{BUCKET}/{prefix}/{path.relative_to(folder).as_posix()}"
            # None: by default pyarrow compresses what is called .zst once more.
            with self.filesystem.open_output_stream(key, compression=None) as stream:
                stream.write(path.read_bytes())
        return self.address(prefix)

    def given(self, part: str) -> int:
        """Return how many bytes the store has given of files whose name holds `part`."""
        return sum(size for method, path, size in self.requests if method == "GET" and part in path)


@contextmanager
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Run a store; the environment has credentials for it."""
    pytest.importorskip("flask_cors", reason="needs moto and flask-cors (the dev group)")
    server = pytest.importorskip("moto.server", reason="needs moto and flask (the dev group)")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPENSESAME")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-to-be-seen")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    requests: list[tuple[str, str, int]] = []
    app = server.DomainDispatcherApplication(server.create_backend_app)

    def counted(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *more: Any) -> Any:
            length = next((int(v) for k, v in headers if k.lower() == "content-length"), 0)
            requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], length))
            return start_response(status, headers, *more)

        return app(environ, start)

    from threading import Thread

    from werkzeug.serving import make_server

    http = make_server("127.0.0.1", 0, counted, threaded=True)
    thread = Thread(target=http.serve_forever, name="object store", daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{http.server_port}"
    try:
        filesystem, _ = fs.FileSystem.from_uri(
            f"s3://{BUCKET}?endpoint_override=127.0.0.1:{http.server_port}&scheme=http"
            f"&allow_bucket_creation=true"
        )
        filesystem.create_dir(BUCKET)
        yield Store(url, filesystem, requests)
    finally:
        http.shutdown()
        thread.join(timeout=60)
        http.server_close()
