"""The runner: what `interface.ServiceRunner` promises, on this machine."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner import cgroups, engine, sandbox
from voltagora.platform.runner.archives import is_archive, unpack
from voltagora.platform.runner.building import Building, runs_as_root
from voltagora.platform.runner.builds import Builds
from voltagora.platform.runner.contract import checked_params
from voltagora.platform.runner.files import disk_path
from voltagora.platform.runner.instances import Instance, Instances
from voltagora.platform.runner.interface import Build, Credentials, Log, Restart, Run
from voltagora.platform.runner.keeper import OUTPUT
from voltagora.platform.runner.logs import follow, last_part, newest_log
from voltagora.platform.runner.orders import Command
from voltagora.platform.runner.places import Places
from voltagora.platform.runner.service_orders import service_order
from voltagora.platform.runner.settings import Settings

MOST_UPLOAD_BYTES: Final = 200 * 1024 * 1024
_NOT_BUILT: Final = "Please upload service files and build image!"
_NOT_STARTED: Final = "Could not run service, please check logfiles"
_NOT_STOPPED: Final = "Could not stop service, please check logfiles"


class Runner:
    """Builds and runs services; see `interface.ServiceRunner` for all but `open` and `close`.

    Args:
        data: a folder of its own.
        broker: host and port that the services' relays lead to; plain MQTT.
        credentials: where each instance's username and password come from.
        settings: of the operator.
    """

    def __init__(
        self,
        data: Path,
        broker: tuple[str, int],
        credentials: Credentials,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._places = Places(data)
        self._broker = broker
        self._credentials = credentials
        self._instances = Instances(credentials.withdraw, broker_tells=self.settings.broker_tells)
        self._locks: dict[str, asyncio.Lock] = {}
        self._builds: dict[str, tuple[Build, ...]] = {}
        self._box = "bubblewrap"
        self._why_not: str | None = None
        self._building: Building | None = None

    async def open(self) -> tuple[int, int]:
        """Look at what there is to run services in, and adopt those that run since before.

        Returns:
            How many services run on, and how many have ended while nobody looked.
        """
        await asyncio.to_thread(self._places.make)
        if self.settings.engine is not None:
            wanted = self.settings.engine
            found = await (engine.detect() if wanted == "auto" else engine.works(wanted))
            self._why_not = None if found else f"no container engine answers ({wanted})"
            self._box = found or "bubblewrap"
        else:
            self._why_not = await asyncio.to_thread(sandbox.why_not)
            if self._why_not is not None and self.settings.insecure:
                self._why_not, self._box = None, "none"
        self._building = Building(self._places, self.settings, self._box)
        adopted = await self._instances.adopt(self._places.runs, self._broker)
        await asyncio.to_thread(self._sweep, self._building)
        return adopted

    def _sweep(self, building: Building) -> None:
        """Remove uploads that were cut off, environments and cgroups that nothing uses any longer."""
        cgroups.sweep()
        for folder in self._places.services.glob("*/incoming-*"):
            shutil.rmtree(folder, ignore_errors=True)
        used = {each.standing.subject.environment for each in self._instances.all() if each.runs}
        for folder in self._places.services.iterdir():
            used |= {made.environment for made in Builds(folder).all()}
        building.environments.sweep(used)

    async def close(self, *, stop: bool = False) -> None:
        """Part from the services; they run on until a platform adopts them, unless told to stop."""
        if stop:
            kept = [each.kept for each in self._instances.all() if each.kept is not None and each.runs]
            await asyncio.gather(*(each.stop(self.settings.stop_seconds) for each in kept))
        await self._instances.leave()

    @property
    def why_not(self) -> str | None:
        """Why nothing can be built or started here; None: it can."""
        return self._why_not

    # Files.

    async def upload(self, service: Service, name: str, content: AsyncIterator[bytes]) -> None:
        """See `ServiceRunner.upload`."""
        files = self._places.files(service)
        path = disk_path(name)
        incoming = await asyncio.to_thread(files.incoming)
        spool = incoming / "spool"
        try:
            await _spool(spool, content)
            unpacked = incoming / "files"
            unpacked.mkdir()
            async with self._lock(service):
                if is_archive(name):
                    names = await asyncio.to_thread(unpack, spool, unpacked)
                else:
                    target = unpacked / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    spool.rename(target)
                    names = [(path, name)]
                await asyncio.to_thread(files.take, unpacked, names)
        finally:
            await asyncio.to_thread(shutil.rmtree, incoming, ignore_errors=True)

    async def files(self, service: Service) -> tuple[str, ...]:
        """See `ServiceRunner.files`."""
        return await asyncio.to_thread(self._places.files(service).names)

    async def remove_file(self, service: Service, name: str) -> None:
        """See `ServiceRunner.remove_file`."""
        async with self._lock(service):
            await asyncio.to_thread(self._places.files(service).remove, name)

    async def copy_files(self, source: Service, target: Service) -> None:
        """See `ServiceRunner.copy_files`."""
        async with self._lock(source):
            await asyncio.to_thread(self._places.files(source).copy_to, self._places.files(target))

    async def remove(self, service: Service) -> None:
        """See `ServiceRunner.remove`."""
        async with self._lock(service):
            running = self._instances.running(service.folder)
            await asyncio.gather(
                *(each.kept.stop(self.settings.stop_seconds) for each in running if each.kept)
            )
            folder = self._places.folder(service)
            images = [made.image for made in self._places.builds(service).all() if made.image]
            for number in self._instances.of(service.folder):
                await asyncio.to_thread(shutil.rmtree, self._places.run(service, number), ignore_errors=True)
            self._instances.forget(service.folder)
            self._builds.pop(service.folder, None)
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            for image in images:
                await engine.remove_image(self._box, image)
            for kind in ("build", "run"):
                (self._places.copies / f"{service.folder}@{kind}").unlink(missing_ok=True)

    # Builds.

    def is_built(self, service: Service) -> bool:
        """See `ServiceRunner.is_built`."""
        return any(build.current for build in self.builds(service))

    def builds(self, service: Service) -> tuple[Build, ...]:
        """See `ServiceRunner.builds`."""
        found = self._builds.get(service.folder)
        if found is None:
            found = self._builds[service.folder] = self._places.builds(service).listed()
        return found

    async def build(
        self, service: Service, *, nearest_python: bool = False, nearest_pins: bool = False
    ) -> None:
        """See `ServiceRunner.build`."""
        self._must_have_box()
        assert self._building is not None
        async with self._lock(service):
            try:
                await self._building.build(service, nearest_python=nearest_python, nearest_pins=nearest_pins)
            finally:
                self._builds.pop(service.folder, None)

    async def roll_back(self, service: Service, version: int) -> None:
        """See `ServiceRunner.roll_back`."""
        async with self._lock(service):
            await asyncio.to_thread(self._places.builds(service).make_current, version)
            self._builds.pop(service.folder, None)

    async def build_log(self, service: Service) -> Log:
        """See `ServiceRunner.build_log`."""
        content = await asyncio.to_thread(last_part, self._places.builds(service).log)
        if not content:
            raise Refusal(400, f"Service {service.name} was never built")
        return await self._copied(service, "build", "buildImage.log", content)

    # Runs.

    def is_running(self, service: Service) -> bool:
        """See `ServiceRunner.is_running`."""
        return bool(self._instances.running(service.folder))

    def runs(self, service: Service) -> tuple[Run, ...]:
        """See `ServiceRunner.runs`."""
        found = self._instances.of(service.folder)
        return tuple(found[number].run() for number in sorted(found))

    async def run_of(self, service: Service) -> Run | None:
        """See `ServiceRunner.run_of`."""
        running = self._instances.running(service.folder)
        return running[-1].run() if running else None

    async def start(
        self, service: Service, run_params: str, *, instance: int = 1, restart: Restart = Restart.NEVER
    ) -> Run:
        """See `ServiceRunner.start`."""
        params = checked_params(run_params)
        if not 1 <= instance <= self.settings.most_instances:
            raise Refusal(400, f"instance: got {instance}, must be 1 to {self.settings.most_instances}")
        async with self._lock(service):
            made = await asyncio.to_thread(self._places.builds(service).current)
            if made is None:
                raise Refusal(400, _NOT_BUILT)
            there = self._instances.of(service.folder).get(instance)
            if there is not None and there.runs:
                raise Refusal(400, "Service already running")
            self._must_have_box()
            # What the run before has left is being cleared away.
            await self._instances.settle()
            credential = await self._credentials.issue(service, instance)
            try:
                folder = await asyncio.to_thread(self._places.fresh_run, service, instance)
                order = await asyncio.to_thread(
                    service_order,
                    service,
                    made,
                    self._places,
                    self.settings,
                    box=self._box,
                    broker=self._broker,
                    credential=credential,
                    run_params=params,
                    instance=instance,
                    restart=restart,
                    own_user=self.settings.own_users and runs_as_root(),
                )
                started = await self._instances.begin(folder, order)
            except BaseException as error:
                await self._credentials.withdraw(credential.principal)
                if isinstance(error, OSError):
                    raise Refusal(400, f"{_NOT_STARTED}: {error}") from None
                raise
        return await self._until_told(started)

    async def _until_told(self, started: Instance) -> Run:
        """Wait until an instance has connected, has ended, or is alive for long enough.

        Raises:
            Refusal: 400, it has ended badly.
        """
        kept = started.kept
        assert kept is not None
        heard = asyncio.create_task(started.heard.wait())
        over = asyncio.create_task(kept.over.wait())
        await asyncio.wait(
            (heard, over), timeout=self.settings.alive_seconds, return_when=asyncio.FIRST_COMPLETED
        )
        for task in (heard, over):
            task.cancel()
        await asyncio.gather(heard, over, return_exceptions=True)
        if kept.over.is_set() and not kept.standing.code == 0:
            raise Refusal(400, _NOT_STARTED)
        return started.run()

    async def stop(self, service: Service, *, instance: int | None = None) -> None:
        """See `ServiceRunner.stop`."""
        async with self._lock(service):
            found = [
                each.kept
                for each in self._instances.running(service.folder)
                if each.kept is not None and instance in (None, each.standing.subject.number)
            ]
            if not found:
                raise Refusal(400, _NOT_STOPPED)
            gone = await asyncio.gather(*(each.stop(self.settings.stop_seconds) for each in found))
            await self._instances.settle()
            if not all(gone):
                raise Refusal(400, _NOT_STOPPED)

    def connected(self, principal: str, yes: bool) -> None:
        """See `ServiceRunner.connected`."""
        found = self._instances.by_principal(principal)
        if found is not None:
            found.hear(connected=yes)

    def subscribed(self, principal: str) -> None:
        """See `ServiceRunner.subscribed`."""
        found = self._instances.by_principal(principal)
        if found is not None:
            found.hear(connected=True, ready=True)

    def health(self, principal: str, well: bool) -> None:
        """See `ServiceRunner.health`."""
        found = self._instances.by_principal(principal)
        if found is not None and found.kept is not None:
            found.healthy = well
            if not well:
                found.kept.tell(Command(do="unwell"))

    # Logs.

    async def log(self, service: Service) -> Log:
        """See `ServiceRunner.log`."""
        name = f"{service.folder}.log"
        own = await asyncio.to_thread(newest_log, self._places.log_folder(service), name)
        printed = await asyncio.to_thread(self._printed, service)
        if own is None and not printed:
            raise Refusal(
                400,
                f"Could not find a log file for service: {service.name}. "
                "Please run at least once this service",
            )
        content = own[1] if own is not None else b""
        if content and printed:
            content += b"\n--- printed ---\n"
        found = own[0] if own is not None else name
        return await self._copied(service, "run", found, content + printed)

    def follow(self, service: Service, *, instance: int = 1) -> AsyncIterator[str]:
        """See `ServiceRunner.follow`."""
        found = self._instances.of(service.folder).get(instance)
        file = self._places.run(service, instance) / OUTPUT
        return follow(file, lambda: found is not None and found.runs)

    def _printed(self, service: Service) -> bytes:
        numbers = sorted(self._instances.of(service.folder))
        parts = [last_part(self._places.run(service, number) / OUTPUT) for number in numbers]
        return b"\n".join(part for part in parts if part)

    async def _copied(self, service: Service, kind: str, name: str, content: bytes) -> Log:
        def copy() -> Path:
            target = self._places.copies / f"{service.folder}@{kind}"
            number, fresh = tempfile.mkstemp(dir=self._places.copies)
            with os.fdopen(number, "wb") as file:
                file.write(content)
            Path(fresh).replace(target)
            return target

        # The service chose it, and it goes into a header.
        name = name if re.fullmatch(r"[-\w.]{1,100}", name) else f"{service.folder}.log"
        return Log(name=name, path=await asyncio.to_thread(copy))

    def _lock(self, service: Service) -> asyncio.Lock:
        return self._locks.setdefault(service.folder, asyncio.Lock())

    def _must_have_box(self) -> None:
        if self._why_not is not None:
            raise Refusal(
                400,
                f"Services cannot be run safely here: {self._why_not}. "
                "The operator can install it, or start the platform with --insecure-runner",
            )


async def _spool(file: Path, content: AsyncIterator[bytes]) -> None:
    size = 0
    with file.open("wb") as opened:
        async for piece in content:
            size += len(piece)
            if size > MOST_UPLOAD_BYTES:
                raise Refusal(400, f"Longer than {MOST_UPLOAD_BYTES >> 20} MiB")
            await asyncio.to_thread(opened.write, piece)
