"""Install real OKX clients, each in an environment of its own: `python -m tests.clients.install`.

What cannot be installed (no network, no wheel for this machine, no Node) is left out with the
reason kept beside it, for `test_clients.py` to say. What is installed stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.clients.table import CLIENTS, HOME, Client

_INSTALL_S = 900
_PYTHONS = [(3, minor) for minor in range(11, 16)]


def main(names: list[str]) -> None:
    """Install the named clients, or all; say what became of each."""
    for client in CLIENTS.values():
        if names and client.name not in names:
            continue
        folder = HOME / client.name
        stamp = folder / ".installed"
        wanted = " ".join(client.packages)
        if stamp.exists() and stamp.read_text() == wanted:
            print(f"{client.name}: {wanted}, there already")
            continue
        refusal = _install(client, folder)
        if refusal is None:
            stamp.write_text(wanted)
            (folder / ".refused").unlink(missing_ok=True)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            stamp.unlink(missing_ok=True)
            (folder / ".refused").write_text(refusal)
        print(f"{client.name}: {wanted if refusal is None else f'left out, {refusal}'}", flush=True)


def _install(client: Client, folder: Path) -> str | None:
    """Install one client; return why not, None if it is there."""
    if client.python is None:
        if shutil.which("node") is None or shutil.which("npm") is None:
            return "expected node and npm on the path, found neither or one: install Node 20"
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--no-fund", "--no-audit", "--ignore-scripts", "--prefix", str(folder))
        return _run("npm", "install", *options, *client.packages)
    python = _python_of(client.python)
    if python is None:
        return f"expected Python {client.python[0]}.{client.python[1]} or newer on the path"
    return _run(python, "-m", "venv", str(folder)) or _run(
        str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *client.packages
    )


def _python_of(oldest: tuple[int, int]) -> str | None:
    if sys.version_info[:2] >= oldest:
        return sys.executable
    for version in _PYTHONS:
        found = shutil.which(f"python{version[0]}.{version[1]}")
        if version >= oldest and found and _run(found, "-c", "import venv, ssl") is None:
            return found
    return None


def _run(*command: str) -> str | None:
    """Run a command; return the last thing it said where it failed."""
    clean = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_INSTALL_S, env=clean
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode == 0:
        return None
    said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return f"{Path(command[0]).name} {command[1]}: {said[-1] if said else done.returncode}"


if __name__ == "__main__":
    main(sys.argv[1:])
