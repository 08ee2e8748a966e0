"""Looks at a sandbox several times a second and says when it is over a limit."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from voltagora.platform.runner import processes
from voltagora.platform.runner.cgroups import Group
from voltagora.platform.runner.interface import Holds
from voltagora.platform.runner.orders import Order
from voltagora.platform.runner.output import cut_long_logs

_LOOK_SECONDS: Final = 0.25
_DISK_SHARE: Final = 20
"""Counting files may take one part in so many of the time."""
_CROWDED_LOOKS: Final = 6
"""So many looks in a row with refused forks are no accident."""


class Watch:
    """Watches what runs below a process.

    Args:
        order: with the bounds.
        group: limits that hold by cgroup.
        root: the process; it and everything below it counts.
    """

    def __init__(self, order: Order, group: Group, root: int) -> None:
        self._order = order
        self._group = group
        self._root = root
        self._crowded = 0
        self._refused = group.forks_refused()
        self._started_with = processes.disk_use(self._folders(), order.bounds.disk_files * 2)

    async def until_over(self) -> str:
        """Look until something is over its limit; give which."""
        loop = asyncio.get_running_loop()
        began, next_disk = loop.time(), 0.0
        seconds = self._order.bounds.seconds
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            over = self._over_in_kernel()
            if over is None and loop.time() >= next_disk:
                at = loop.time()
                over = await asyncio.to_thread(self._over_on_disk)
                next_disk = loop.time() + (loop.time() - at) * _DISK_SHARE
            if over is None and seconds is not None and loop.time() - began > seconds:
                over = "time"
            if over is not None:
                return over

    def out_of_memory(self) -> bool:
        """Whether the kernel killed for want of memory."""
        return self._group.oom_kills() > 0

    def _over_in_kernel(self) -> str | None:
        bounds, holds = self._order.bounds, self._group.holds
        if self.out_of_memory():
            return "memory"
        if "pids" in holds:
            refused = self._group.forks_refused()
            self._crowded = self._crowded + 1 if refused > self._refused else 0
            self._refused = refused
        if {"memory", "pids"} <= holds:
            return "processes" if self._crowded >= _CROWDED_LOOKS else None
        there = [self._root, *processes.below(self._root)]
        if "pids" not in holds:
            self._crowded = self._crowded + 1 if processes.tasks(there) >= bounds.processes else 0
        if (
            "memory" not in holds
            and processes.resident_bytes(there) > bounds.memory_bytes
            and processes.proportional_bytes(there) > bounds.memory_bytes
        ):
            return "memory"
        return "processes" if self._crowded >= _CROWDED_LOOKS else None

    def _over_on_disk(self) -> str | None:
        order = self._order
        if order.log_folder is not None:
            cut_long_logs(Path(order.log_folder), order.bounds.log_bytes)
        most_files = order.bounds.disk_files + self._started_with[1]
        used, entries = processes.disk_use(self._folders(), most_files)
        # What it was given to start with is not its own doing.
        over = used > order.bounds.disk_bytes + self._started_with[0] or entries > most_files
        return "disk" if over else None

    def _folders(self) -> list[str]:
        return [self._order.root, *self._order.watched]


def limits_held(group: Group, box: str, nproc_counts: bool) -> dict[str, str]:
    """Say how each limit holds.

    Args:
        group: the cgroups.
        box: as in an order.
        nproc_counts: the kernel counts processes of this user against its rlimit.
    """
    if box not in ("bubblewrap", "none"):
        engine = dict.fromkeys(("memory", "processes", "cpu"), Holds.CGROUP)
        return {**engine, "disk": Holds.WATCHED, "file": Holds.RLIMIT, "log": Holds.WATCHED}
    held = group.holds
    return {
        "memory": Holds.CGROUP if "memory" in held else Holds.WATCHED,
        "processes": Holds.CGROUP
        if "pids" in held
        else (Holds.RLIMIT if nproc_counts and box == "bubblewrap" else Holds.WATCHED),
        "cpu": Holds.CGROUP if "cpu" in held else Holds.NONE,
        "disk": Holds.WATCHED,
        "file": Holds.RLIMIT,
        "log": Holds.WATCHED,
    }
