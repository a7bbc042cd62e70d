"""Run the check with parsers whose source was changed in one place, one after the other.

    python mutated.py CAPTURE FIGURES < mutations.json

The mutations are `[module, old, new]`. Prints for each a JSON array of two reports, a line each:
against the expectation in the capture, and against one that holds figures only.
"""

from __future__ import annotations

import sys
from importlib import import_module
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

    mutations = msgspec.json.decode(sys.stdin.buffer.read())
    for module, _, _ in mutations:
        import_module(module)
    # What the mutated modules themselves need does not change; all the rest is imported anew.
    kept = {name for name in sys.modules if name not in {module for module, _, _ in mutations}}
    for module, old, new in mutations:
        for name in [name for name in sys.modules if name.split(".")[0] in ("recorder", "replay")]:
            if name not in kept:
                del sys.modules[name]
        mutate(module, old, new)
        from replay.regression.checking import check

        reports = [check(capture), check(capture, expect=figures)]
        sys.stdout.buffer.write(msgspec.json.encode(reports) + b"\n")


if __name__ == "__main__":
    main()
