"""A runner with a folder, a hub behind its relay, and services that are a few lines of Python."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from voltagora.hub.server import Hub
from voltagora.platform.registry.entities import Service, Topic
from voltagora.platform.runner import sandbox
from voltagora.platform.runner.interface import Credential, Run
from voltagora.platform.runner.runner import Runner
from voltagora.platform.runner.settings import Settings

PYTHON = "3.11"
DOCKERFILE = f'FROM python:{PYTHON}-slim\nCOPY . /\nCMD ["python", "-u", "service.py"]\n'
PATIENCE_SECONDS = 30.0
CANARY = f"canary-{secrets.token_hex(8)}"
"""The password of every service; so that they are found among the processes."""

WHY_NOT = sandbox.why_not()


class Tokens:
    """Credentials without a registry."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.withdrawn: list[str] = []

    async def issue(self, service: Service, instance: int) -> Credential:
        self.issued.append(f"{service.owner}+{len(self.issued) + 1}")
        return Credential(username=service.owner, password=CANARY, principal=self.issued[-1])

    async def withdraw(self, principal: str) -> None:
        self.withdrawn.append(principal)


def a_topic(name: str, number: int = 1) -> Topic:
    return Topic(id=number, name=name, description="", topic_ontology="", owner="alice")


def a_service(
    name: str, number: int = 1, inputs: tuple[str, ...] = ("in",), outputs: tuple[str, ...] = ("out",)
) -> Service:
    from voltagora.platform.registry.names import folder_name

    return Service(
        id=number,
        name=name,
        description="",
        service_type="",
        service_ontology="",
        location="",
        owner="alice",
        owner_id=1,
        folder=folder_name(name),
        input_topics=tuple(map(a_topic, inputs)),
        output_topics=tuple(map(a_topic, outputs)),
    )


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


class Stage:
    """What a test plays with."""

    def __init__(self, runner: Runner, hub: Hub, tokens: Tokens, data: Path) -> None:
        self.runner, self.hub, self.tokens, self.data = runner, hub, tokens, data
        self.left = False

    async def leave(self) -> None:
        """End the platform, and let what it started run on."""
        self.left = True
        await self.runner.close()

    async def put(self, service: Service, **files: str) -> None:
        """Upload files; `service_py` is `service.py`."""
        for name, text in files.items():
            path = name.replace("_py", ".py").replace("_txt", ".txt")
            await self.runner.upload(service, path, pieces(text.encode()))

    async def built(self, service: Service, code: str, dockerfile: str = DOCKERFILE) -> Service:
        await self.put(service, Dockerfile=dockerfile, service_py=code)
        await self.runner.build(service)
        return service

    async def run(self, service: Service, code: str, **options: Any) -> Run:
        await self.built(service, code)
        return await self.runner.start(service, "", **options)

    async def until_ended(self, service: Service) -> Run:
        await until(lambda: not self.runner.is_running(service))
        return self.runner.runs(service)[0]

    async def printed(self, service: Service) -> str:
        return (await self.runner.log(service)).path.read_text(errors="replace")


@asynccontextmanager
async def a_stage(
    data: Path, settings: Settings | None = None, *, tells: bool = False
) -> AsyncIterator[Stage]:
    """A runner in a folder; whatever it started is stopped in the end."""
    tokens = Tokens()
    quick = msgspec.structs.replace(settings or Settings(), broker_tells=tells)
    async with Hub(mqtt="127.0.0.1:0", sys_seconds=0) as hub:
        runner = Runner(data, ("127.0.0.1", hub.mqtt_port), tokens, quick)
        await runner.open()
        stage = Stage(runner, hub, tokens, data)
        try:
            yield stage
        finally:
            if not stage.left:
                await runner.close(stop=True)


async def until(holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.02)


def processes_with(word: str) -> list[int]:
    """Give processes, other than this one, whose environment or arguments hold a word."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdecimal() and int(name) != os.getpid():
            try:
                text = (
                    Path("/proc", name, "environ").read_bytes() + Path("/proc", name, "cmdline").read_bytes()
                )
            except OSError:
                continue
            if word.encode() in text:
                found.append(int(name))
    return found
