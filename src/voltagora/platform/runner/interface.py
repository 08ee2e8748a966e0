"""What the rest of the platform asks of the runner of services, and what it asks of them.

All methods but those that answer from memory are coroutines of the platform's one loop. Who may
call them was asked before: the runner takes services, not users' wishes. What is refused raises
`registry.refusals.Refusal` with the status and words of the contract (section 6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import msgspec

from voltagora.platform.registry.entities import Service


class RunState(StrEnum):
    """Where an instance stands."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended and is started again after a pause."""
    STOPPING = "stopping"
    ENDED = "ended"


class Restart(StrEnum):
    """When an instance that ended by itself is started again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Holds(StrEnum):
    """How a limit is enforced."""

    CGROUP = "cgroup"
    RLIMIT = "rlimit"
    WATCHED = "watched"
    """Looked at several times a second; who is over is killed."""
    NONE = "none"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One instance of a service that was started.

    Attributes:
        number: counts the instances of a service from 1.
        ready: it has subscribed.
        connected: it has a connection to the broker.
        limits: by limit (`memory`, `processes`, `cpu`, `disk`, `file`, `log`), how it holds: a `Holds`.
        lost: what the sandbox would give and this run does not have; empty in a sandbox.
        started_at: seconds since 1970.
        restarts: how often it was started again.
        build: version of the build it runs.
        healthy: what was heard of its health; None: nothing was.
        reason: why it ended last: `exited: 1`, `killed: memory`, `stopped`; empty: it has not ended.
    """

    number: int = 1
    state: RunState = RunState.RUNNING
    ready: bool = False
    connected: bool = False
    limits: dict[str, str] = {}
    lost: tuple[str, ...] = ()
    started_at: float = 0.0
    restarts: int = 0
    build: int = 0
    client_name: str = ""
    reason: str = ""
    healthy: bool | None = None


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a service that can be run.

    Attributes:
        current: the one that the next start takes.
        python: version that it runs with (`3.8.18`), or the engine's image.
        notes: what was done differently from what was asked (`nearest Python`), one sentence each.
    """

    version: int
    built_at: float
    python: str
    current: bool = False
    notes: tuple[str, ...] = ()


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A copy of a log that may be handed out; the service cannot change or exchange it."""

    name: str
    path: Path


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What one instance shows to the broker.

    Attributes:
        principal: what the broker calls a connection with it (`alice+7`).
    """

    username: str
    password: str
    principal: str

    def __repr__(self) -> str:
        return f"Credential({self.principal})"


class Credentials(Protocol):
    """Where the runner gets credentials from: device tokens, scoped to a service's topics."""

    async def issue(self, service: Service, instance: int) -> Credential:
        """Make one for an instance that is about to be started."""

    async def withdraw(self, principal: str) -> None:
        """End one whose instance has ended."""


class ServiceRunner(Protocol):
    """Builds and runs services."""

    def is_built(self, service: Service) -> bool:
        """Whether there is a build that can be run; answers from memory."""

    def is_running(self, service: Service) -> bool:
        """Whether an instance runs; answers from memory."""

    async def upload(self, service: Service, name: str, content: AsyncIterator[bytes]) -> None:
        """Put one file, or the files of one archive, into a service's folder.

        Args:
            service: whose folder.
            name: as the client wrote it; not to be trusted.
            content: the bytes, in pieces; may be long.

        Raises:
            Refusal: 400, a name or an archive that is not taken; nothing is kept.
        """

    async def build(
        self, service: Service, *, nearest_python: bool = False, nearest_pins: bool = False
    ) -> None:
        """Build what lies in a service's folder; returns when it is done.

        Args:
            service: which.
            nearest_python: take another Python if the one that is asked for is not there.
            nearest_pins: take later versions of pinned packages if those do not install.

        Raises:
            Refusal: 400 with what the builder said.
        """

    async def start(
        self, service: Service, run_params: str, *, instance: int = 1, restart: Restart = Restart.NEVER
    ) -> Run:
        """Start a service; returns when it has connected, or is alive after 5 s.

        Args:
            service: which.
            run_params: as typed; the runner checks that it is empty or JSON.
            instance: which of several; each has its own credential and client name.
            restart: what happens when it ends by itself.

        Raises:
            Refusal: 400.
        """

    async def stop(self, service: Service, *, instance: int | None = None) -> None:
        """Stop all instances, or one.

        Raises:
            Refusal: 400, it does not run or cannot be stopped.
        """

    async def run_of(self, service: Service) -> Run | None:
        """Give the newest run of a service that runs, or None."""

    def runs(self, service: Service) -> tuple[Run, ...]:
        """Give the last run of each instance, also of those that ended; answers from memory."""

    def builds(self, service: Service) -> tuple[Build, ...]:
        """Give the builds that are kept, the newest first; answers from memory."""

    async def roll_back(self, service: Service, version: int) -> None:
        """Let the next start take another build.

        Raises:
            Refusal: 400, there is no such build.
        """

    async def log(self, service: Service) -> Log:
        """Give a service's log: its own `<folder>.log`, else its newest, else what it printed.

        Raises:
            Refusal: 400, there is none.
        """

    async def build_log(self, service: Service) -> Log:
        """Give what the last build said.

        Raises:
            Refusal: 400, there is none.
        """

    def follow(self, service: Service, *, instance: int = 1) -> AsyncIterator[str]:
        """Give what an instance printed, line by line, and go on until it ends."""

    async def files(self, service: Service) -> tuple[str, ...]:
        """Give the names of what was uploaded, sorted."""

    async def remove_file(self, service: Service, name: str) -> None:
        """Remove one uploaded file.

        Raises:
            Refusal: 400, there is no such file.
        """

    async def copy_files(self, source: Service, target: Service) -> None:
        """Copy a service's files, without its logs, into another's folder."""

    async def remove(self, service: Service) -> None:
        """Stop a service that is deleted and remove its folder and builds."""

    def connected(self, principal: str, yes: bool) -> None:
        """Hear from the broker that a credential's first connection came or its last one went."""

    def subscribed(self, principal: str) -> None:
        """Hear from the broker that a connection with this credential has subscribed."""

    def health(self, principal: str, well: bool) -> None:
        """Hear of an instance's health: its last will came, its heartbeat came or did not come.

        One that is not well is ended and started again if its restart policy is not `never`.
        """
