"""What the rest of the platform asks of the runner of services.

All methods but `is_built` and `is_running` are coroutines of the platform's one loop. Who may call
them was asked before: the runner takes services, not users' wishes. What is refused raises
`registry.refusals.Refusal` with the status and words of the contract (section 6).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import msgspec

from voltagora.platform.registry.entities import Service


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One service that was started.

    Attributes:
        ready: it has subscribed to its input topics.
        limits: by limit, how it holds: `cgroup`, `rlimit` or `none`.
    """

    ready: bool = False
    limits: dict[str, str] = {}


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A log file that may be handed out."""

    name: str
    path: Path


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

    async def build(self, service: Service) -> None:
        """Build what lies in a service's folder; returns when it is done.

        Raises:
            Refusal: 400 with what the builder said.
        """

    async def start(self, service: Service, run_params: str) -> Run:
        """Start a service; returns when it has connected, or is alive after 5 s.

        Args:
            service: which.
            run_params: as typed; the runner checks that it is empty or JSON.

        Raises:
            Refusal: 400.
        """

    async def stop(self, service: Service) -> None:
        """Stop all instances.

        Raises:
            Refusal: 400, it does not run or cannot be stopped.
        """

    async def run_of(self, service: Service) -> Run | None:
        """Give the newest run of a service that runs, or None."""

    async def log(self, service: Service) -> Log:
        """Give a service's log.

        Raises:
            Refusal: 400, there is none.
        """

    async def copy_files(self, source: Service, target: Service) -> None:
        """Copy a service's files, without its logs, into another's folder."""

    async def remove(self, service: Service) -> None:
        """Stop a service that is deleted and remove its folder and builds."""
