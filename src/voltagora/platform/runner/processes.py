"""Who runs below a process, and how much memory they hold together; read from /proc."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def below(root: int) -> dict[int, int]:
    """Give all descendants of a process, each with its depth; children have depth 1."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal():
            parent = _parent(name)
            if parent is not None:
                children.setdefault(parent, []).append(int(name))
    found: dict[int, int] = {}
    waiting = [(child, 1) for child in children.get(root, [])]
    while waiting:
        process, depth = waiting.pop()
        found[process] = depth
        waiting += [(child, depth + 1) for child in children.get(process, [])]
    return found


def _parent(process: str) -> int | None:
    try:
        text = Path("/proc", process, "stat").read_bytes()
    except OSError:
        return None
    state, parent = text[text.rindex(b")") + 2 :].split(b" ", 2)[:2]
    return None if state == b"Z" else int(parent)


def resident_bytes(processes: list[int]) -> int:
    """Give the memory that processes hold, shared pages counted once for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(Path("/proc", str(process), "statm").read_text().split()[1]) * _PAGE
    return total


def proportional_bytes(processes: list[int]) -> int:
    """Give the memory that processes hold, shared pages divided among them; slower to find out."""
    total = 0
    for process in processes:
        try:
            lines = Path("/proc", str(process), "smaps_rollup").read_text().splitlines()
        except PermissionError:
            total += resident_bytes([process])
        except OSError:
            continue
        else:
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


def tasks(processes: list[int]) -> int:
    """Count processes and their threads."""
    total = 0
    for process in processes:
        with contextlib.suppress(OSError):
            total += len(os.listdir(f"/proc/{process}/task"))  # noqa: PTH208
    return total


def tell(processes: list[int], what: signal.Signals) -> None:
    """Send a signal to each that is still there."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, what)


def disk_use(folders: list[str], most_files: int) -> tuple[int, int]:
    """Give bytes and number of entries in folders; counting stops where there are too many.

    Nothing is followed out of them, and what disappears meanwhile does not count.
    """
    total, entries = 0, 0
    waiting = list(folders)
    while waiting and entries <= most_files:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as found:
            for entry in found:
                entries += 1
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    return total, entries
