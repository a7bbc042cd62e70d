"""The seam itself: what it knows of one file it must not say of another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import errno, os, sys
from contextlib import suppress
from pathlib import Path
from tests.torture.shim import Fault, Shim

root = Path(sys.argv[1])
fault = Fault(kind="error", at=1, calls=("fsync",), error=errno.EIO, cut_at=5, remains=sys.argv[2])
Shim(root, fault, lambda calls, name: None).install()

def write(name, content, *, seen=True):
    if seen:
        fd = os.open(root / name, os.O_WRONLY | os.O_CREAT)
        os.write(fd, content)
        return fd
    (root / name).write_bytes(content)  # as Arrow does: not through the seam
    return os.open(root / name, os.O_RDONLY)

fd = write("lost", b"l" * 100)
with suppress(OSError):
    os.fsync(fd)  # 1: fails
os.unlink(root / "lost")
os.close(fd)
fd = write("kept", b"k" * 100, seen=False)  # a file system likes to give it the same inode
os.fsync(fd)  # 2
fd = write("new.tmp", b"n")
os.rename(root / "new.tmp", root / "new")
os.write(fd, b"n" * 99)
os.fsync(fd)  # 3: by a descriptor that was opened under the old name
os.fsync(os.open(root, os.O_RDONLY))  # 4
os.fsync(fd)  # 5: the power goes
"""


def test_a_file_has_what_was_synced_of_it_and_inherits_nothing(
    tmp_path: Path, repository: Path
) -> None:
    """Found by the cut after a failed sync: it zeroed files that were durable."""
    root, remains = tmp_path / "disk", tmp_path / "remains"
    root.mkdir()
    process = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(root), str(remains)],
        cwd=repository,
        timeout=120,
        capture_output=True,
    )
    assert process.returncode == -9, process.stderr.decode()
    found = {path.name: path.read_bytes() for path in remains.iterdir()}
    assert found == {"kept": b"k" * 100, "new": b"n" * 100}
