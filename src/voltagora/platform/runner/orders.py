"""What the runner tells a keeper to do, and what the keeper tells back.

A keeper is a small process of its own that holds one sandbox: it outlives a restart of the platform,
so what passes between the two is written down here as values that go over a pipe or into a file.
"""

from __future__ import annotations

from typing import Final

import msgspec

from voltagora.platform.runner.interface import Restart, RunState

MIB: Final = 1024 * 1024
BROKER_PORT: Final = 1883
"""Where a service finds the broker, inside its sandbox and by contract."""
PROXY_PORT: Final = 3128
"""Where a build finds the relay to the package index."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one sandbox may use.

    Attributes:
        memory_bytes: of all its processes together.
        processes: and threads, at once.
        cpus: cores, as a share; 1.0 is one core.
        file_bytes: the longest single file.
        disk_bytes: all that it writes, logs included.
        disk_files: files and folders that it makes.
        log_bytes: where a log is cut; captured output keeps twice as much.
        output_bytes_per_second: who prints faster is slowed down.
        open_files: at once, by one process.
        seconds: how long it may take; None: for ever.
        connections: to the relay, at once.
    """

    memory_bytes: int = 512 * MIB
    processes: int = 128
    cpus: float = 1.0
    file_bytes: int = 256 * MIB
    disk_bytes: int = 512 * MIB
    disk_files: int = 50_000
    log_bytes: int = 10 * MIB
    output_bytes_per_second: int = MIB
    open_files: int = 1_024
    seconds: float | None = None
    connections: int = 32


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A folder or file that is seen in the sandbox."""

    source: str
    target: str
    writable: bool = False


class BackOff(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait before an instance is started again; it doubles until a run has lasted."""

    first_seconds: float = 1.0
    most_seconds: float = 60.0
    settled_seconds: float = 60.0


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a sandbox is for, so that a platform that was restarted knows it again."""

    folder: str
    number: int = 1
    build: int = 0
    client_name: str = ""
    principal: str = ""
    environment: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One sandbox and how it is kept.

    Attributes:
        box: `bubblewrap`, `none` (no sandbox) or the path of a container engine.
        image: for an engine.
        root: folder that is `/` in the sandbox.
        interpreter: Python that opens the relay's door in there, before the command.
        command, directory: what runs, and where.
        environment: all of it; holds a secret, so it is never written to disk.
        uid: its own user, if the keeper may change it; None: the platform's.
        broker: host and port behind the relay.
        source_address: where the relay's connections come from, so that services are told apart.
        index_hosts: `host:port` that the relay reaches instead of a broker: this is a build.
        watched: folders besides `root` that count as its disk.
        log_folder: where files named `*.log` are cut when they grow too long.
    """

    subject: Subject
    box: str
    image: str = ""
    root: str
    interpreter: str
    command: list[str]
    directory: str = "/"
    environment: dict[str, str] = {}
    mounts: list[Mount] = []
    uid: int | None = None
    broker: tuple[str, int] | None = None
    source_address: str = ""
    index_hosts: list[str] = []
    watched: list[str] = []
    log_folder: str | None = None
    bounds: Bounds = Bounds()
    restart: Restart = Restart.NEVER
    back_off: BackOff = BackOff()
    stop_seconds: float = 5.0

    def __repr__(self) -> str:
        return f"Order({self.subject.folder}, {self.subject.number})"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a keeper's sandbox stands; one line on its control socket at each change, and its file.

    Attributes:
        changed_at: seconds since 1970.
        code: of the last process that ended; None: it has not.
        relayed: connections through the relay, now.
    """

    subject: Subject
    state: RunState
    started_at: float
    changed_at: float
    restarts: int = 0
    reason: str = ""
    code: int | None = None
    relayed: int = 0
    limits: dict[str, str] = {}
    lost: tuple[str, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a keeper is told over its control socket."""

    do: str
    """`stop`; `unwell`: end and start again, if that is the policy; `broker` (with host and port)."""
    host: str = ""
    port: int = 0
