"""Limits by cgroup, version 1 or 2, where this process may make groups; each controller by itself."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

from voltagora.platform.runner.orders import Bounds

CONTROLLERS: Final = ("memory", "pids", "cpu")
_PERIOD_US: Final = 100_000
_GONE_SECONDS: Final = 2.0
_PREFIX: Final = "voltagora-"


def new_name() -> str:
    """Give a name for groups that this process makes; counters of an older group would mislead."""
    return f"{_PREFIX}{os.getpid()}-{time.monotonic_ns():x}"


def sweep(mounted: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> None:
    """Remove groups whose makers were killed before they could."""
    for base in {base for controller in CONTROLLERS for base in _bases(controller, mounted, own)}:
        for folder in base.glob(f"{_PREFIX}*"):
            maker = folder.name.removeprefix(_PREFIX).partition("-")[0]
            if not Path("/proc", maker).exists():
                # One that still has processes in it is not removed by the kernel.
                with contextlib.suppress(OSError):
                    folder.rmdir()


class Group:
    """The groups of one sandbox.

    Args:
        name: of the groups; unique on this machine.
        bounds: what is written into them.
        mounted: where cgroups are mounted.
        own: this process's line of each hierarchy; `/proc/self/cgroup`.
    """

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        mounted: Path = Path("/sys/fs/cgroup"),
        own: Path = Path("/proc/self/cgroup"),
    ) -> None:
        self._folders: dict[str, Path] = {}
        for controller in CONTROLLERS:
            for base in _bases(controller, mounted, own):
                if self._enter(controller, base / name, bounds):
                    break

    @property
    def holds(self) -> frozenset[str]:
        """The controllers that hold."""
        return frozenset(self._folders)

    @property
    def entrances(self) -> tuple[str, ...]:
        """Files that a process writes `0` into to be in the groups."""
        return tuple(sorted({str(folder / "cgroup.procs") for folder in self._folders.values()}))

    def oom_kills(self) -> int:
        """How many processes were killed for want of memory."""
        folder = self._folders.get("memory")
        if folder is None:
            return 0
        return _number(folder / "memory.events", "oom_kill") or _number(
            folder / "memory.oom_control", "oom_kill"
        )

    def forks_refused(self) -> int:
        """How many processes could not be made."""
        folder = self._folders.get("pids")
        return _number(folder / "pids.events", "max") if folder else 0

    def processes(self) -> list[int]:
        """Give who is in the groups."""
        found: set[int] = set()
        for entrance in self.entrances:
            with contextlib.suppress(OSError):
                found.update(int(word) for word in Path(entrance).read_text().split())
        return sorted(found)

    def remove(self) -> None:
        """Remove the groups; processes that were killed may take a moment to leave."""
        until = time.monotonic() + _GONE_SECONDS
        for folder in set(self._folders.values()):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        break
                    time.sleep(0.01)

    def _enter(self, controller: str, folder: Path, bounds: Bounds) -> bool:
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            return False
        if (folder / "cgroup.procs").exists() and _bound(controller, folder, bounds):
            self._folders[controller] = folder
            return True
        if folder not in self._folders.values():
            with contextlib.suppress(OSError):
                folder.rmdir()
        return False


def _bases(controller: str, mounted: Path, own: Path) -> list[Path]:
    """Folders where a group with a controller may be made, the likeliest first."""
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        return []
    for _, names, path in lines:
        if controller in names.split(","):
            return [mounted / controller / path.lstrip("/"), mounted / controller]
    for number, _, path in lines:
        if number == "0":
            here = mounted / path.lstrip("/")
            # A group with processes in it hands no controller down: its parent may.
            return list(dict.fromkeys((here, here.parent if path != "/" else here, mounted)))
    return []


def _bound(controller: str, folder: Path, bounds: Bounds) -> bool:
    quota = max(1_000, int(bounds.cpus * _PERIOD_US))
    values = {
        "memory": (
            ("memory.max", str(bounds.memory_bytes)),
            ("memory.limit_in_bytes", str(bounds.memory_bytes)),
        ),
        "pids": (("pids.max", str(bounds.processes)),),
        "cpu": (("cpu.max", f"{quota} {_PERIOD_US}"), ("cpu.cfs_quota_us", str(quota))),
    }[controller]
    written = False
    for name, value in values:
        file = folder / name
        if file.exists():
            try:
                file.write_text(value)
                written = True
            except OSError:
                return False
    # Swap must not stretch the memory, and who is out of it ends as a whole.
    for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        if controller == "memory" and (folder / name).exists():
            with contextlib.suppress(OSError):
                (folder / name).write_text(value)
    if controller == "memory" and (folder / "memory.memsw.limit_in_bytes").exists():
        with contextlib.suppress(OSError):
            (folder / "memory.memsw.limit_in_bytes").write_text(str(bounds.memory_bytes))
    return written


def _number(file: Path, word: str) -> int:
    try:
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == word:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
