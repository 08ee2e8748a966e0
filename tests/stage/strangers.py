"""Agents that know nothing of the package, each a process of its own beside a broker in this one."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from voltagora.protocols.asyncapi import asyncapi_text

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "strangers"
NODE_MODULES = ROOT / "build" / "node-mqtt" / "node_modules"

Change = tuple[str, str, str]
"""A file, what stands in it, and what shall stand there instead."""


def has_node() -> bool:
    return shutil.which("node") is not None and (NODE_MODULES / "mqtt").exists()


def need_node() -> None:
    if not has_node():
        if os.environ.get("CI"):
            pytest.fail("node and mqtt.js are missing, and CI may not skip the JavaScript stranger")
        pytest.skip("node and mqtt.js are missing: make live-deps")


def lay_out(folder: Path, changes: tuple[Change, ...] = ()) -> Path:
    """Copy the examples beside the published contract and mqtt.js, with some lines made wrong."""
    folder.mkdir(parents=True)
    for path in EXAMPLES.iterdir():
        if path.suffix in (".py", ".mjs"):
            text = path.read_text(encoding="utf-8")
            for file, old, new in changes:
                if file == path.name:
                    assert old in text, (file, old)
                    text = text.replace(old, new)
            (folder / path.name).write_text(text, encoding="utf-8")
    (folder / "asyncapi.json").write_text(asyncapi_text(), encoding="utf-8")
    if NODE_MODULES.exists():
        (folder / "node_modules").symlink_to(NODE_MODULES)
    return folder


@asynccontextmanager
async def stranger(folder: Path, program: str, url: str, *options: str) -> AsyncIterator[Path]:
    """Run one; gives the file that it prints to."""
    runner = sys.executable if program.endswith(".py") else "node"
    printed = folder / "printed"
    with printed.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            runner,
            str(folder / program),
            *("--broker", url, "--contract", str(folder / "asyncapi.json")),
            *options,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield printed
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
