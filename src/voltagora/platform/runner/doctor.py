"""Says beforehand what the runner will find: sandbox, Pythons, engines, limits, disk."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from voltagora.platform.runner import engine, pythons, sandbox
from voltagora.platform.runner.cgroups import Group, new_name
from voltagora.platform.runner.interface import Holds
from voltagora.platform.runner.orders import Bounds
from voltagora.platform.runner.watch import limits_held

_LITTLE_BYTES: Final = 2 * 1024**3


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        good: nothing needs to be done.
        said: what was found, and what helps if it is not good.
    """

    what: str
    good: bool
    said: str


async def doctor(data: Path) -> tuple[Finding, ...]:
    """Look at everything the runner needs.

    Args:
        data: the runner's folder; need not be there yet.
    """
    box, found, engines = await asyncio.gather(asyncio.to_thread(sandbox.why_not), pythons.find(), _engines())
    limits = await asyncio.to_thread(_limits)
    return (_sandbox(box), _pythons(found), _engine(engines), _limits_said(limits), _disk(data))


def _sandbox(why_not: str | None) -> Finding:
    if why_not is None:
        own = "each service has a user of its own" if os.geteuid() == 0 else "services share this user"
        return Finding(what="sandbox", good=True, said=f"bubblewrap works; {own}")
    helps = "install bubblewrap and allow unprivileged user namespaces, or use --insecure-runner"
    return Finding(what="sandbox", good=False, said=f"{why_not}; {helps}")


def _pythons(found: tuple[pythons.Python, ...]) -> Finding:
    names = ", ".join(each.name for each in found)
    return Finding(what="pythons", good=bool(found), said=names or "none that can make environments")


async def _engines() -> list[str]:
    working = await asyncio.gather(*(engine.works(name) for name in engine.ENGINES))
    return [path for path in working if path is not None]


def _engine(found: list[str]) -> Finding:
    said = ", ".join(found) or "none answers; none is needed for the simple lines of a Dockerfile"
    return Finding(what="engines", good=True, said=said)


def _limits() -> dict[str, str]:
    group = Group(new_name(), Bounds())
    try:
        return limits_held(group, "bubblewrap", nproc_counts=True)
    finally:
        group.remove()


def _limits_said(held: dict[str, str]) -> Finding:
    said = ", ".join(f"{name} by {how}" for name, how in held.items())
    return Finding(what="limits", good=Holds.NONE not in held.values(), said=said)


def _disk(data: Path) -> Finding:
    there = next(folder for folder in (data.absolute(), *data.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    said = f"{free / 1024**3:.1f} GiB free at {there}" + ("" if writable else ", not writable")
    return Finding(what="disk", good=writable and free > _LITTLE_BYTES, said=said)
