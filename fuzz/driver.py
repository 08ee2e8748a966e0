"""Runs a harness under atheris, which grows its inputs by the lines of the hub that they reach."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path


@contextlib.contextmanager
def _unwatched() -> object:  # type: ignore[misc]
    yield


def watched() -> contextlib.AbstractContextManager[object]:
    """Have the hub's modules that are imported inside measured, if this process is one that attacks."""
    if not Path(sys.argv[0]).name.startswith("fuzz_"):
        return _unwatched()
    import atheris

    found: contextlib.AbstractContextManager[object] = atheris.instrument_imports(include=["voltagora.hub"])
    return found


def run(attack: Callable[[bytes], None], seeds: list[bytes]) -> None:
    """Attack until the arguments of libFuzzer say stop; the first of them is the folder of inputs."""
    import atheris

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup(sys.argv, attack)
    atheris.Fuzz()
