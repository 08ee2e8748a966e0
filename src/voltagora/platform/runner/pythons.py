"""The Pythons of this machine that a service can run with."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from voltagora.platform.registry.refusals import Refusal

_ASK: Final = (
    "import json,sys,venv,ensurepip;"
    "print(json.dumps([list(sys.version_info[:3]), sys.base_prefix, sys.executable]))"
)
_ASK_SECONDS: Final = 20
_asked: dict[tuple[str, int], Python | None] = {}
"""What was answered, by path and time of change: asking takes longer than a small build."""


class Python(msgspec.Struct, frozen=True, kw_only=True):
    """One Python that can make an environment.

    Attributes:
        prefix: the folder it is installed in.
    """

    version: tuple[int, int, int]
    executable: str
    prefix: str

    @property
    def name(self) -> str:
        """`3.8.18`."""
        return ".".join(map(str, self.version))


async def find() -> tuple[Python, ...]:
    """Give all that are found on PATH, in pyenv and by uv, the newest first, one of each version."""
    asked = list(dict.fromkeys(map(os.path.realpath, _candidates())))
    found = await asyncio.gather(*(_ask(path) for path in asked))
    by_version: dict[tuple[int, int, int], Python] = {}
    for python in found:
        if python is not None and python.version[0] == 3:
            by_version.setdefault(python.version, python)
    return tuple(by_version[version] for version in sorted(by_version, reverse=True))


def pick(pythons: tuple[Python, ...], asked: tuple[int, ...], *, nearest: bool) -> tuple[Python, str]:
    """Pick the Python that is asked for; the newest patch unless one is named.

    Args:
        pythons: those there are.
        asked: version, as far as it is named.
        nearest: another minor version will do, the next newer before the next older.

    Returns:
        The Python and a note if it is not the one that was asked for.

    Raises:
        Refusal: 400, it is not there; says which are.
    """
    for length in range(len(asked), min(2, len(asked)) - 1, -1):
        same = [each for each in pythons if each.version[:length] == asked[:length]]
        if same:
            note = "" if length == len(asked) else f"Python {same[0].name} stands in for {_dotted(asked)}."
            return same[0], note
    if nearest and pythons:
        minor = asked[1] if len(asked) > 1 else 0
        found = min(pythons, key=lambda each: (each.version[1] < minor, abs(each.version[1] - minor)))
        return found, f"Nearest Python: {found.name} in place of {_dotted(asked)}."
    there = ", ".join(each.name for each in pythons) or "none"
    raise Refusal(400, f"Python {_dotted(asked)} is not on this machine. There are: {there}")


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _candidates() -> Iterable[str]:
    yield sys.executable
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder and Path(folder).is_dir():
            for name in sorted(os.listdir(folder)):  # noqa: PTH208
                if re.fullmatch(r"python3(\.\d+)?", name):
                    yield str(Path(folder, name))
    roots = [os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")]
    for root in filter(None, roots):
        yield from sorted(map(str, Path(root, "versions").glob("3.*/bin/python3")))
    if shutil.which("uv") or os.environ.get("UV_PYTHON_INSTALL_DIR"):
        place = os.environ.get("UV_PYTHON_INSTALL_DIR", str(Path.home() / ".local/share/uv/python"))
        yield from sorted(map(str, Path(place).glob("cpython-3*/bin/python3")))


async def _ask(path: str) -> Python | None:
    try:
        key = (path, Path(path).stat().st_mtime_ns)
    except OSError:
        return None
    if key not in _asked:
        _asked[key] = await _answer(path)
    return _asked[key]


async def _answer(path: str) -> Python | None:
    """Ask a Python for its version; one that cannot make environments is none for us."""
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            "-I",
            "-c",
            _ASK,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        said, _ = await asyncio.wait_for(process.communicate(), _ASK_SECONDS)
        version, prefix, _ = json.loads(said)
    except (TimeoutError, ValueError):
        if process.returncode is None:
            process.kill()
            await process.wait()
        return None
    executable = Path(prefix, "bin", f"python{version[0]}.{version[1]}")
    executable = executable if executable.exists() else Path(os.path.realpath(path))
    return Python(version=tuple(version), executable=str(executable), prefix=prefix)
