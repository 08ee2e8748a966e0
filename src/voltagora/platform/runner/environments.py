"""Environments of installed packages: one for all services that want the same, made in a sandbox."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.pythons import Python
from voltagora.platform.runner.requirements import Wanted, loosened

VENV: Final = "/venv"
SOURCE: Final = "/src"
CERTIFICATES: Final = "/.voltagora/certificates.pem"
_WANTED: Final = "/tmp/wanted.txt"  # noqa: S108 - inside the sandbox
DEFAULT_INDEX: Final = "https://pypi.org/simple"
_FILES_OF: Final = {"pypi.org": ("files.pythonhosted.org:443",)}


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """The package index that builds reach, and nothing else.

    Attributes:
        url: of the index.
        hosts: `host:port` of further hosts that its files come from.
        certificates: bundle of authorities, or None for the installer's own.
    """

    url: str = DEFAULT_INDEX
    hosts: tuple[str, ...] = ()
    certificates: Path | None = None

    @classmethod
    def of_this_machine(cls) -> Index:
        """Give the index that pip is told to use here, by its variables."""
        bundle = os.environ.get("PIP_CERT")
        url = os.environ.get("PIP_INDEX_URL", DEFAULT_INDEX)
        return cls(url=url, certificates=Path(bundle) if bundle and Path(bundle).is_file() else None)

    def reached(self) -> list[str]:
        """Give every `host:port` that a build may reach."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return [f"{host}:{port}", *_FILES_OF.get(host, ()), *self.hosts]


Install = Callable[[Python, list[list[str]], Path, Path, Path], Awaitable[int]]
"""Runs steps with a Python, a folder as `/venv`, a service's files as `/src`; adds to a log; exit code."""


class Environments:
    """All environments.

    Args:
        folder: where they lie.
        index: where packages come from.
        install: runs the steps of an installation in a sandbox.
        layout: distinguishes environments that are not made for `/venv`.
    """

    def __init__(self, folder: Path, index: Index, install: Install, layout: str = "") -> None:
        self._folder = folder
        self._index = index
        self._install = install
        self._layout = layout
        self._locks: dict[str, asyncio.Lock] = {}

    def folder_of(self, name: str) -> Path:
        """Give the folder that is mounted as `/venv`."""
        return self._folder / name / "venv"

    async def get(
        self, python: Python, wanted: Wanted, source: Path, log: Path, *, nearest_pins: bool
    ) -> tuple[str, tuple[str, ...]]:
        """Give an environment, made now if nobody wanted the same before.

        Args:
            python: which.
            wanted: what is in it.
            source: the service's files, for wheels among them.
            log: file to add to.
            nearest_pins: if it does not install, take later versions of what is pinned.

        Returns:
            Its name, and what was done differently from what was asked.

        Raises:
            Refusal: 400, it does not install.
        """
        tries: list[tuple[tuple[str, ...], tuple[str, ...]]] = [(wanted.lines, ())]
        if nearest_pins:
            for within_major, note in (
                (True, "Nearest pins: pinned packages are the newest of the same major version."),
                (False, "Nearest pins: pinned packages are the newest that install."),
            ):
                loose = loosened(wanted.lines, within_major=within_major)
                tries.append((loose, (note,)) if loose != wanted.lines else tries[0])
        for lines, notes in dict.fromkeys(tries):
            made = msgspec.structs.replace(wanted, lines=lines)
            name = made.digest(f"{python.name} {python.prefix} {self._index.url} {self._layout}")
            async with self._locks.setdefault(name, asyncio.Lock()):
                if self._whole(name):
                    _add(log, f"This environment was built before: {name}\n")
                    return name, notes
                if await self._make(name, python, made, source, log):
                    return name, notes
        raise Refusal(400, f"The build failed:\n{_tail(log)}")

    def sweep(self, used: set[str]) -> None:
        """Remove those that no build uses any longer."""
        for there in self._folder.iterdir() if self._folder.is_dir() else ():
            lock = self._locks.get(there.name)
            if there.name not in used and (lock is None or not lock.locked()):
                shutil.rmtree(there, ignore_errors=True)

    def _whole(self, name: str) -> bool:
        return (self._folder / name / "whole.json").exists()

    async def _make(self, name: str, python: Python, wanted: Wanted, source: Path, log: Path) -> bool:
        there = self._folder / name
        await asyncio.to_thread(shutil.rmtree, there, ignore_errors=True)
        self.folder_of(name).mkdir(parents=True)
        steps = self._steps(python, wanted)
        try:
            code = await self._install(python, steps, self.folder_of(name), source, log)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, there, ignore_errors=True)
            raise
        if code != 0:
            await asyncio.to_thread(shutil.rmtree, there, ignore_errors=True)
            return False
        said = json.dumps({"requirements": list(wanted.lines), "made_at": time.time()})
        (there / "whole.json").write_text(said)
        return True

    def _steps(self, python: Python, wanted: Wanted) -> list[list[str]]:
        bare = [] if wanted.lines else ["--without-pip"]
        steps = [[python.executable, "-I", "-m", "venv", *bare, VENV]]
        if wanted.lines:
            lines = [line if not line.startswith("./") else f"{SOURCE}/{line[2:]}" for line in wanted.lines]
            hashed = any(" --hash=" in line for line in lines)
            # By file, for a hash cannot stand in an argument.
            write = "import sys; open(sys.argv[1], 'w').write('\\n'.join(sys.argv[2:]))"
            steps.append([python.executable, "-I", "-c", write, _WANTED, *lines])
            call = [f"{VENV}/bin/python", "-I", "-m", "pip", "install", "--no-cache-dir", "--no-input"]
            call += ["--index-url", self._index.url, "--progress-bar", "off", *wanted.options]
            call += ["--require-hashes"] if hashed else []
            if self._index.certificates is not None:
                call += ["--cert", CERTIFICATES]
            steps.append([*call, "-r", _WANTED])
        return steps


def _add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2_000))
        return file.read().decode(errors="replace").strip()
