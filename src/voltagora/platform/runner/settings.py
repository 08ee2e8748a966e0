"""What the operator decides about the runner."""

from __future__ import annotations

from typing import Final

import msgspec

from voltagora.platform.runner.environments import Index
from voltagora.platform.runner.orders import MIB, BackOff, Bounds

BUILD_BOUNDS: Final = Bounds(
    memory_bytes=2_048 * MIB,
    processes=256,
    cpus=2.0,
    file_bytes=2_048 * MIB,
    disk_bytes=4_096 * MIB,
    disk_files=200_000,
    seconds=900.0,
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides.

    Attributes:
        insecure: run services without a sandbox where there can be none.
        engine: a container engine (`docker`, `podman` or a path) that builds and runs everything.
        broker_tells: somebody calls `connected` and `subscribed`; if not, a connection through the
            relay counts as both.
        index: where builds get packages from; what pip is told here, else PyPI.
        bounds, build_bounds: what a service and a build may use.
        most_instances: of one service.
        alive_seconds: a service that runs so long counts as started, connected or not.
        stop_seconds: between TERM and KILL.
        own_users: give each service a user of its own where the platform is root.
    """

    insecure: bool = False
    engine: str | None = None
    broker_tells: bool = True
    index: Index = msgspec.field(default_factory=Index.of_this_machine)
    bounds: Bounds = Bounds()
    build_bounds: Bounds = BUILD_BOUNDS
    back_off: BackOff = BackOff()
    most_instances: int = 16
    alive_seconds: float = 5.0
    stop_seconds: float = 5.0
    own_users: bool = True
