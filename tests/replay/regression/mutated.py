"""Run the check with parsers whose source was changed in one place, one after the other.

    python mutated.py CAPTURE FIGURES < mutations.json

The mutations are `[module, old, new]`. Prints for each a JSON array of two reports, a line each:
against the expectation in the capture, and against one that holds figures only.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from pathlib import Path


def mutate(name: str, old: str, new: str) -> None:
    """Put a changed copy of a module in its place, before anybody imports it."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text()
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {name}"
    module = module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(source.replace(old, new), spec.origin, "exec"), module.__dict__)


def main() -> None:
    capture, figures = sys.argv[1:]
    import msgspec

    for module, old, new in msgspec.json.decode(sys.stdin.buffer.read()):
        for name in [name for name in sys.modules if name.split(".")[0] in ("recorder", "replay")]:
            del sys.modules[name]
        mutate(module, old, new)
        from replay.regression.checking import check

        reports = [check(capture), check(capture, expect=figures)]
        sys.stdout.buffer.write(msgspec.json.encode(reports) + b"\n")


if __name__ == "__main__":
    main()
