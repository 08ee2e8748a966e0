"""The instances of services: started, listened to, stopped, and found again by a platform that restarts."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from voltagora.platform.runner.interface import Run, RunState
from voltagora.platform.runner.keepers import Kept, last_standing, note_cleared
from voltagora.platform.runner.orders import Command, Order, Standing

Withdraw = Callable[[str], Awaitable[None]]
_ENDED: Final = RunState.ENDED


class Instance:
    """One instance, running or ended.

    Attributes:
        kept: its keeper; None: it ended before this platform started.
        connected, ready: as the broker told.
    """

    def __init__(self, standing: Standing, kept: Kept | None) -> None:
        self._standing = standing
        self.kept = kept
        self.connected = False
        self.ready = False
        self.healthy: bool | None = None
        self.heard = asyncio.Event()

    @property
    def standing(self) -> Standing:
        """What its keeper said last."""
        return self.kept.standing if self.kept is not None else self._standing

    @property
    def runs(self) -> bool:
        """Whether it has not ended for good."""
        return self.kept is not None and not self.kept.over.is_set()

    def hear(self, *, connected: bool | None = None, ready: bool | None = None) -> None:
        """Take down what the broker told."""
        if connected is not None:
            self.connected = connected
        if ready is not None:
            self.ready = ready
        if not self.connected:
            self.ready = False
        if self.connected:
            self.heard.set()

    def run(self) -> Run:
        """Give it as others see it."""
        standing = self.standing
        return Run(
            number=standing.subject.number,
            state=standing.state if self.runs else _ENDED,
            ready=self.ready,
            connected=self.connected,
            limits=standing.limits,
            lost=standing.lost,
            started_at=standing.started_at,
            restarts=standing.restarts,
            build=standing.subject.build,
            client_name=standing.subject.client_name,
            reason=standing.reason,
            healthy=self.healthy,
        )


class Instances:
    """All instances.

    Args:
        withdraw: ends the credential of one that has ended.
        broker_tells: if not, connections through the relay are all that is known.
    """

    def __init__(self, withdraw: Withdraw, *, broker_tells: bool) -> None:
        self._withdraw = withdraw
        self._broker_tells = broker_tells
        self._by_folder: dict[str, dict[int, Instance]] = {}
        self._by_principal: dict[str, Instance] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, folder: str) -> dict[int, Instance]:
        """Give the instances of a service by number."""
        return self._by_folder.get(folder, {})

    def running(self, folder: str) -> list[Instance]:
        """Give those that run, the newest last."""
        found = [each for each in self.of(folder).values() if each.runs]
        return sorted(found, key=lambda each: each.standing.started_at)

    def all(self) -> list[Instance]:
        """Give all of all services."""
        return [each for instances in self._by_folder.values() for each in instances.values()]

    async def settle(self) -> None:
        """Wait until what has ended is cleared away."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def by_principal(self, principal: str) -> Instance | None:
        """Give the instance that shows a credential."""
        return self._by_principal.get(principal)

    async def begin(self, folder: Path, order: Order) -> Instance:
        """Start one.

        Raises:
            OSError: its keeper did not start.
        """
        # The broker may tell of it before the keeper has said a word to us.
        now = Standing(subject=order.subject, state=RunState.STARTING, started_at=0, changed_at=0)
        instance = Instance(now, None)
        self._by_principal[order.subject.principal] = instance
        try:
            instance.kept = await Kept.begin(folder, order, self._changed)
        except OSError:
            self._by_principal.pop(order.subject.principal, None)
            raise
        self._by_folder.setdefault(order.subject.folder, {})[order.subject.number] = instance
        if instance.kept.over.is_set():
            self._changed(instance.kept)
        return instance

    async def adopt(self, runs: Path, broker: tuple[str, int]) -> tuple[int, int]:
        """Find what a platform before this one has started.

        Returns:
            How many still run, and how many have ended meanwhile.
        """
        alive = ended = 0
        for folder in sorted(runs.iterdir()):
            standing = last_standing(folder)
            kept = await Kept.find(folder, self._changed)
            if "@" not in folder.name:
                # A build whose platform went away: nobody waits for it any longer.
                if kept is not None:
                    await kept.stop(0)
                    await kept.leave()
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                continue
            if kept is None and standing is None:
                shutil.rmtree(folder, ignore_errors=True)
                continue
            found = kept.standing if kept is not None else standing
            assert found is not None
            instance = Instance(found, kept)
            self._by_folder.setdefault(found.subject.folder, {})[found.subject.number] = instance
            if kept is not None:
                alive += 1
                self._by_principal[found.subject.principal] = instance
                kept.tell(Command(do="broker", host=broker[0], port=broker[1]))
                self._changed(kept)
            else:
                ended += 1
                shutil.rmtree(folder / "root", ignore_errors=True)
                if found.subject.principal:
                    await self._withdraw(found.subject.principal)
                    note_cleared(folder, found)
        return alive, ended

    def forget(self, folder: str) -> None:
        """Forget a service that was removed."""
        self._by_folder.pop(folder, None)

    async def leave(self) -> None:
        """Listen no longer; what runs goes on."""
        for instances in self._by_folder.values():
            for instance in instances.values():
                if instance.kept is not None:
                    await instance.kept.leave()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _changed(self, kept: Kept) -> None:
        standing = kept.standing
        instance = self._by_principal.get(standing.subject.principal)
        if instance is None:
            return
        if not self._broker_tells:
            there = standing.relayed > 0
            instance.hear(connected=there, ready=there)
        if kept.over.is_set():
            self._by_principal.pop(standing.subject.principal, None)
            instance.hear(connected=False)
            task = asyncio.create_task(self._tidy(kept))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tidy(self, kept: Kept) -> None:
        await asyncio.to_thread(shutil.rmtree, kept.folder / "root", ignore_errors=True)
        await self._withdraw(kept.standing.subject.principal)
        note_cleared(kept.folder, kept.standing)
