"""Real servers for tests: a PostgreSQL and a Redis on a free port, in a folder of their own.

Responsible for starting them, for what makes a day bad (kill, stop, start again) and for leaving
nothing behind. Refuses to need root, and to run as root where a server will not.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 120.0
PASSWORD = "s3cret/of:tests"
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")


def program(name: str) -> str | None:
    """Return where a program is: on the path, or where distributions hide PostgreSQL's."""
    found = shutil.which(name)
    if found is not None:
        return found
    hidden = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/{name}")]
    return str(max(hidden)) if hidden else None


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Any, what: str) -> Any:
    """Wait for something another process does, but not for ever; return what it gave."""
    give_up = time.monotonic() + PATIENCE_S
    while not (found := holds()):
        assert time.monotonic() < give_up, f"expected {what}"
        time.sleep(0.01)
    return found


class Server:
    """A server process and its folder."""

    def __init__(self, prefix: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=prefix))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start it and wait until it answers; on a port that is taken, on another."""
        for _ in range(5):
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    user=_USER if self.drops_root else None,
                    group=_GROUP if self.drops_root else None,
                    extra_groups=[] if self.drops_root else None,
                    cwd=self.folder,
                )  # fmt: skip
            try:
                until(lambda: self.answers() or self._is_gone(), "the server to answer")
            except BaseException:
                self.kill()
                raise
            if not self._is_gone():
                return
            self.port = free_port()
        raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])

    drops_root = False

    def _is_gone(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Have it die at once, children and all."""
        process, self.process = self.process, None
        if process is None:
            return
        children = _children(process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(PATIENCE_S)
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have it and its children do nothing for a while, as on a machine that is overloaded."""
        assert self.process is not None
        stopped = [self.process.pid, *_children(self.process.pid)]
        for number in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGSTOP)
        try:
            yield
        finally:
            for number in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGCONT)

    def remove(self) -> None:
        """End it and leave nothing behind."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in listed.read_text().split()] if listed.exists() else []


_IS_ROOT = os.geteuid() == 0
_USER, _GROUP = "nobody", 65534


class Postgres(Server):
    """A cluster with one user, `recorder`, whose password is `PASSWORD`."""

    drops_root = _IS_ROOT  # PostgreSQL refuses to run as root

    def __init__(self, template: Path) -> None:
        super().__init__("pg-")
        shutil.copytree(template, self.folder / "data")
        self._hand_over(self.folder)
        self.start()

    @staticmethod
    def _hand_over(folder: Path) -> None:
        if _IS_ROOT:
            subprocess.run(["chown", "-R", _USER, str(folder)], check=True, timeout=PATIENCE_S)

    @staticmethod
    def template(shared: Path) -> Path:
        """Return a fresh cluster's files, made once for all workers of a run."""
        target = shared / "pg-template"
        with (shared / "pg-template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.exists():
                with tempfile.TemporaryDirectory(prefix="pg-") as name:
                    folder = Path(name)
                    (folder / "password").write_text(PASSWORD)
                    Postgres._hand_over(folder)
                    initdb = program("initdb")
                    assert initdb is not None
                    subprocess.run(
                        [initdb, "-D", str(folder / "data"), "-U", "recorder", "-E", "UTF8",
                         "--no-sync", "--no-locale", "--wal-segsize=1", "-A", "scram-sha-256",
                         "--pwfile", str(folder / "password")],
                        check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S,
                        user=_USER if _IS_ROOT else None, group=_GROUP if _IS_ROOT else None,
                        extra_groups=[] if _IS_ROOT else None, cwd=folder,
                    )  # fmt: skip
                    unfinished = shared / "pg-template.tmp"
                    shutil.copytree(folder / "data", unfinished)
                    unfinished.rename(target)
        return target

    def command(self) -> list[str]:
        postgres = program("postgres")
        assert postgres is not None
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "fsync": "off",
            "unix_socket_directories": str(self.folder), "shared_buffers": "16MB",
            "max_connections": 20, "autovacuum": "off", "max_wal_size": "64MB",
        }  # fmt: skip
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [postgres, "-D", str(self.folder / "data"), *options]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str) -> str:
        from urllib.parse import quote

        return f"postgresql://recorder:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)  # of one that was killed
        super().start()


class RedisServer(Server):
    """A Redis that writes every command to its log, so that a kill loses nothing."""

    password = PASSWORD

    def __init__(self, *, keeps: bool = True) -> None:
        super().__init__("redis-")
        self.keeps = keeps
        self.start()

    def command(self) -> list[str]:
        server = program("redis-server")
        assert server is not None
        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if self.keeps else []
        return [
            server, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
            "--save", "", "--requirepass", PASSWORD, *keeping,
        ]  # fmt: skip

    def client(self) -> Any:
        import redis

        return redis.Redis.from_url(self.url(), decode_responses=True, socket_timeout=30)

    def answers(self) -> bool:
        import redis

        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def url(self) -> str:
        from urllib.parse import quote

        return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/0"
