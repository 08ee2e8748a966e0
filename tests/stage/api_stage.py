"""The whole API without a network: a loop in a thread, a runner that only remembers, people."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
from accounts_stage import the_accounts
from registry_stage import Wall, a_registry

from voltagora.platform.api.app import build_api
from voltagora.platform.client import PlatformClient
from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.rights import PlatformRights
from voltagora.platform.runner.interface import Build, Log, Restart, Run


class LoopThread:
    """A loop of its own in a thread, for callers that wait."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def close(self) -> None:
        self.wait(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class InThread(httpx.BaseTransport):
    """Hands requests to an application on a loop in a thread."""

    def __init__(self, app: Any, thread: LoopThread, address: str = "127.0.0.1") -> None:
        self._inner = httpx.ASGITransport(app, client=(address, 40_000))
        self._thread = thread

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()

        async def handle() -> httpx.Response:
            asked = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            answer = await self._inner.handle_async_request(asked)
            content = await answer.aread()
            return httpx.Response(answer.status_code, headers=answer.headers, content=content)

        return self._thread.wait(handle())


class FakeRunner:
    """Remembers what it was told."""

    def __init__(self, folder: Path) -> None:
        self.files_of: dict[int, dict[str, bytes]] = {}
        self.built: set[int] = set()
        self.running: dict[int, str] = {}
        self.options: dict[str, Any] = {}
        self.removed: list[str] = []
        self._folder = folder

    def is_built(self, service: Service) -> bool:
        return service.id in self.built

    def is_running(self, service: Service) -> bool:
        return service.id in self.running

    async def upload(self, service: Service, name: str, content: AsyncIterator[bytes]) -> None:
        if "/" in name or name.startswith("."):
            raise Refusal(400, "Not a valid file name")
        self.files_of.setdefault(service.id, {})[name] = b"".join([each async for each in content])

    async def build(self, service: Service, **options: bool) -> None:
        if "Dockerfile" not in self.files_of.get(service.id, {}):
            raise Refusal(400, "Cannot locate specified Dockerfile: Dockerfile")
        self.built.add(service.id)
        self.options = options

    async def start(
        self, service: Service, run_params: str, *, instance: int = 1, restart: Restart = Restart.NEVER
    ) -> Run:
        if service.id not in self.built:
            raise Refusal(400, "Please upload service files and build image!")
        if service.id in self.running:
            raise Refusal(400, "Service already running")
        self.running[service.id] = run_params
        self.options = {"instance": instance, "restart": restart}
        return Run(ready=True)

    async def stop(self, service: Service, *, instance: int | None = None) -> None:
        if self.running.pop(service.id, None) is None:
            raise Refusal(400, "Could not stop service, please check logfiles")

    async def run_of(self, service: Service) -> Run | None:
        return Run(ready=True, limits={"memory": "cgroup"}) if service.id in self.running else None

    def runs(self, service: Service) -> tuple[Run, ...]:
        return (Run(ready=True),) if service.id in self.running else ()

    def builds(self, service: Service) -> tuple[Build, ...]:
        return (Build(version=1, built_at=0.0, python="3.11.7", current=True),)

    async def roll_back(self, service: Service, version: int) -> None:
        if version != 1:
            raise Refusal(400, "There is no such build.")

    async def build_log(self, service: Service) -> Log:
        path = self._folder / "buildImage.log"
        path.write_text("built\n")
        return Log(name=path.name, path=path)

    async def follow(self, service: Service, *, instance: int = 1) -> AsyncIterator[str]:
        for line in ("one\n", "two\r\ndata: forged\n"):
            yield line

    async def files(self, service: Service) -> tuple[str, ...]:
        return tuple(sorted(self.files_of.get(service.id, {})))

    async def remove_file(self, service: Service, name: str) -> None:
        if self.files_of.get(service.id, {}).pop(name, None) is None:
            raise Refusal(400, "There is no such file.")

    def connected(self, principal: str, yes: bool) -> None: ...

    def subscribed(self, principal: str) -> None: ...

    async def log(self, service: Service) -> Log:
        if service.id not in self.running:
            words = f"Could not find a log file for service: {service.name}."
            raise Refusal(400, f"{words} Please run at least once this service")
        path = self._folder / f"{service.folder}.log"
        path.write_text("started <b>\n")
        return Log(name=path.name, path=path)

    async def copy_files(self, source: Service, target: Service) -> None:
        self.files_of[target.id] = dict(self.files_of.get(source.id, {}))

    async def remove(self, service: Service) -> None:
        self.removed.append(service.name)


class Standin:
    """Whatever a site's part is now, so that one application serves many sites: building it takes long."""

    def __init__(self, find: Callable[[], Any], **fixed: Any) -> None:
        self._find = find
        self.__dict__.update(fixed)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


_now: dict[str | None, Site] = {}


@functools.cache
def _app(broker_secret: str | None) -> Any:
    entrance = Standin(lambda: _now[broker_secret].accounts.entrance)
    return build_api(
        Standin(lambda: _now[broker_secret].registry),  # type: ignore[arg-type]
        Standin(lambda: _now[broker_secret].accounts, entrance=entrance),  # type: ignore[arg-type]
        Standin(lambda: _now[broker_secret].rights),  # type: ignore[arg-type]
        Standin(lambda: _now[broker_secret].runner),  # type: ignore[arg-type]
        broker_secret=broker_secret,
    )


class Site:
    """A platform with its API, and people who call it."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.wall = Wall()
        quotas = options.pop("quotas", None)
        self.registry = a_registry(folder, wall=self.wall, quotas=quotas)
        self.accounts = the_accounts(self.registry, self.wall, options.pop("mailer", None))
        self.rights = PlatformRights(self.registry, self.accounts.entrance.enter)
        self.runner = FakeRunner(folder)
        if options.keys() <= {"broker_secret"}:
            secret = options.get("broker_secret")
            _now[secret] = self
            self.app = _app(secret)
        else:
            self.app = build_api(self.registry, self.accounts, self.rights, self.runner, **options)
        self.thread = LoopThread()
        self.http = self.at()
        self._open = [self.http]

    def at(self, address: str = "127.0.0.1") -> httpx.Client:
        return httpx.Client(transport=InThread(self.app, self.thread, address), base_url="http://platform")

    def client(self, token: str | None = None) -> PlatformClient:
        made = PlatformClient("http://platform", token=token, transport=InThread(self.app, self.thread))
        self._open.append(made)  # type: ignore[arg-type]
        return made

    def person(self, name: str) -> PlatformClient:
        """Somebody new, freshly logged in."""
        made = self.client()
        made.register(name, f"{name}@example.org", f"secret of {name}")
        made.login(name, f"secret of {name}")
        return made

    def admin(self) -> PlatformClient:
        made = self.client()
        made.login("admin", str(self.accounts.first_start()))
        return made

    def close(self) -> None:
        for each in self._open:
            each.close()
        self.thread.close()
        self.rights.close()
        self.accounts.close()
        self.registry.close()


def headers(client: PlatformClient) -> dict[str, str]:
    return {"Authorization": f"Bearer {client._access}"}
