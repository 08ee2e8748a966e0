"""The boxes that a keeper can put a service into: a sandbox, a container, or none at all."""

from __future__ import annotations

import array
import asyncio
import ctypes
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from voltagora.platform.runner import sandbox
from voltagora.platform.runner.cgroups import Group
from voltagora.platform.runner.orders import BROKER_PORT, PROXY_PORT, Order
from voltagora.platform.runner.processes import below, tell

LAUNCHER: Final = Path(__file__).with_name("launch.py")
_HANDOVER: Final = "handover"
_PR_SET_CHILD_SUBREAPER: Final = 36
_SERVICE_DEPTH: Final = 2
"""bubblewrap, its first process inside, then the service."""
LOST_WITHOUT_SANDBOX: Final = (
    "it can read whatever the platform's user can read, other services' files included",
    "it can connect to anything this machine reaches",
    "it sees and can signal the other processes of the platform's user",
)


class Started:
    """A box that runs.

    Attributes:
        process: the outermost process.
        printed: all that comes out.
    """

    def __init__(
        self, process: asyncio.subprocess.Process, line: socket.socket | None, listening: bool
    ) -> None:
        assert process.stdout is not None
        self.process = process
        self.printed = process.stdout
        self.root = process.pid
        self._line = line
        self._listening = listening

    async def door(self) -> socket.socket | None:
        """Wait for the socket that listens inside; None: the box ended before."""
        if self._line is None:
            return None
        if self._listening:
            self._line = await _accepted(self._line)
        self._line.setblocking(False)
        loop = asyncio.get_running_loop()
        came: asyncio.Future[socket.socket | None] = loop.create_future()
        line = self._line

        def receive() -> None:
            loop.remove_reader(line)
            if not came.done():
                came.set_result(_handed(line))

        loop.add_reader(line, receive)
        try:
            return await came
        finally:
            loop.remove_reader(line)

    def go(self) -> None:
        """Let the service begin."""
        if self._line is not None:
            self._line.send(b"g")

    def close(self) -> None:
        """Close what is left of the hand-over and of the pipe."""
        if self._line is not None:
            self._line.close()
        self.process._transport.close()  # type: ignore[attr-defined]  # there is no public way


async def _accepted(listening: socket.socket) -> socket.socket:
    listening.setblocking(False)
    line, _ = await asyncio.get_running_loop().sock_accept(listening)
    listening.close()
    return line


def _handed(line: socket.socket) -> socket.socket | None:
    numbers = array.array("i")
    try:
        _, extra, _, _ = line.recvmsg(1, socket.CMSG_SPACE(numbers.itemsize))
    except OSError:
        return None
    for level, kind, content in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    for spare in numbers[1:]:
        os.close(spare)
    return socket.socket(fileno=numbers[0]) if numbers else None


class Bubblewrap:
    """The sandbox."""

    lost: tuple[str, ...] = ()

    def __init__(self, order: Order) -> None:
        self._order = order
        root = Path(order.root)
        sandbox.prepare_root(root)
        self._uid = order.uid
        mounts = sandbox.mounts_of(order)
        if order.uid is not None:
            try:
                mounts = sandbox.stage(mounts)
            except OSError as error:
                self._uid = None
                self.lost = (f"no user of its own outside the sandbox ({error})",)
        self._mounts = mounts
        if self._uid is not None:
            _give(order, self._uid)
        # The kernel does not count the processes of root, and counts those of others by sandbox.
        self.counts_processes = self._uid is not None or os.geteuid() != 0

    async def start(self, group: Group) -> Started:
        """Start it."""
        ours, theirs = socket.socketpair()
        # Whoever is inside can read the arguments of its first process, and learn where we keep things.
        options = os.memfd_create("options")
        os.write(options, b"\0".join(map(os.fsencode, sandbox.bubblewrap(self._mounts))) + b"\0")
        os.lseek(options, 0, os.SEEK_SET)
        inside = sandbox.launching(self._order, f"fd:{theirs.fileno()}", f"{sandbox.INSIDE}/launch.py")
        call = [sandbox.executable() or "bwrap", "--args", str(options), "--", *inside]
        try:
            process = await asyncio.create_subprocess_exec(
                *call,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._order.environment,
                cwd="/",
                pass_fds=[theirs.fileno(), options],
                preexec_fn=_before(self._order, group, self._uid),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(options)
        return Started(process, ours, listening=False)

    async def ask_to_end(self, started: Started) -> None:
        """Send TERM to the service and whatever it started."""
        tree = below(started.root)
        tell([process for process, depth in tree.items() if depth >= _SERVICE_DEPTH], signal.SIGTERM)

    async def kill(self, started: Started) -> None:
        """Kill it; the kernel ends everything in its process namespace with it."""
        if started.process.returncode is None:
            tell([*below(started.root), started.root], signal.SIGKILL)

    def own_processes(self) -> set[int]:
        """Processes below the keeper that are not the service's."""
        return set()


class NoBox:
    """No sandbox: limits by rlimit and cgroup only."""

    lost = LOST_WITHOUT_SANDBOX
    counts_processes = False

    def __init__(self, order: Order) -> None:
        self._order = order

    async def start(self, group: Group) -> Started:
        """Start it."""
        order = self._order
        door = _door(order)
        process = await asyncio.create_subprocess_exec(
            *order.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=order.environment,
            cwd=order.directory,
            start_new_session=True,
            preexec_fn=_before(order, group, None),
        )
        return _StartedOpen(process, door)

    async def ask_to_end(self, started: Started) -> None:
        """Send TERM to the service and whatever it started."""
        tell([started.root, *below(started.root)], signal.SIGTERM)

    async def kill(self, started: Started) -> None:  # noqa: ARG002
        """Kill all that is below the keeper: orphans come to it."""
        tell(sorted(below(os.getpid())), signal.SIGKILL)

    def own_processes(self) -> set[int]:
        """None."""
        return set()


class _StartedOpen(Started):
    """Started without a sandbox: the door is opened from outside."""

    def __init__(self, process: asyncio.subprocess.Process, door: socket.socket | None) -> None:
        super().__init__(process, None, listening=False)
        self._door = door

    async def door(self) -> socket.socket | None:
        return self._door


def _door(order: Order) -> socket.socket | None:
    """Listen at the address that the service was told as its `BROKER`."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((order.source_address, PROXY_PORT if order.index_hosts else BROKER_PORT))
    except OSError:
        door.close()
        raise
    door.listen(32)
    return door


class Container:
    """A container of Docker or Podman, without a network, with the same door."""

    lost: tuple[str, ...] = ()
    counts_processes = True

    def __init__(self, order: Order) -> None:
        self._order = order
        self._name = f"cont_{order.image.rpartition(':')[0] or order.image}_{order.subject.number}"

    def call(self) -> list[str]:
        """Give the call of the engine; secrets go by environment, never by argument."""
        order, bounds = self._order, self._order.bounds
        call = [order.box, "run", "--rm", "--name", self._name, "--network", "none"]
        call += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init"]
        call += ["--memory", str(bounds.memory_bytes), "--memory-swap", str(bounds.memory_bytes)]
        call += ["--pids-limit", str(bounds.processes), "--cpus", str(bounds.cpus)]
        call += ["--ulimit", f"fsize={bounds.file_bytes}", "--ulimit", f"nofile={bounds.open_files}"]
        for name in order.environment:
            if name not in ("PATH", "HOME"):
                call += ["--env", name]
        for mount in order.mounts:
            end = "" if mount.writable else ":ro"
            call += ["--volume", f"{mount.source}:{mount.target}{end}"]
        call += ["--volume", f"{LAUNCHER}:/.voltagora/launch.py:ro"]
        call += ["--volume", f"{Path.cwd() / _HANDOVER}:/.voltagora/door"]
        inside = sandbox.launching(order, "unix:/.voltagora/door", "/.voltagora/launch.py")
        return [*call, "--entrypoint", inside[0], order.image, *inside[1:]]

    async def start(self, group: Group) -> Started:  # noqa: ARG002
        """Start it in the foreground, so that it ends with this process."""
        Path(_HANDOVER).unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(_HANDOVER)
        Path(_HANDOVER).chmod(0o666)
        listening.listen(1)
        process = await asyncio.create_subprocess_exec(
            *self.call(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self._order.environment, "PATH": os.environ.get("PATH", os.defpath)},
            start_new_session=True,
        )
        return Started(process, listening, listening=True)

    async def ask_to_end(self, started: Started) -> None:  # noqa: ARG002
        """Let the engine send TERM, and KILL later."""
        await self._engine("stop", "--time", str(int(self._order.stop_seconds)), self._name)

    async def kill(self, started: Started) -> None:
        """Let the engine kill and remove it."""
        if started.process.returncode is None:
            await self._engine("rm", "--force", self._name)

    def own_processes(self) -> set[int]:
        """None: what the engine runs is below the engine."""
        return set()

    async def _engine(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            self._order.box,
            *words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await process.wait()


Box = Bubblewrap | NoBox | Container


def of(order: Order) -> Box:
    """Give the box that an order asks for."""
    if order.box == "bubblewrap":
        return Bubblewrap(order)
    return NoBox(order) if order.box == "none" else Container(order)


def adopt_orphans() -> None:
    """Let processes whose parents end become children of this one, so that none is lost sight of."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _before(order: Order, group: Group, uid: int | None) -> Callable[[], None]:
    """Give what happens between fork and exec: into the cgroups, under the limits, another user."""
    bounds, entrances = order.bounds, group.entrances
    wanted = [
        (resource.RLIMIT_FSIZE, bounds.file_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, bounds.open_files),
    ]
    if "memory" not in group.holds:
        wanted.append((resource.RLIMIT_DATA, bounds.memory_bytes))

    def enter() -> None:
        for entrance in entrances:
            file = os.open(entrance, os.O_WRONLY)
            os.write(file, b"0")
            os.close(file)
        for what, most in wanted:
            hard = resource.getrlimit(what)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(what, (most, most))
        os.nice(5)
        os.umask(0o022)
        if uid is not None:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)

    return enter


def _give(order: Order, uid: int) -> None:
    """Make the service's user the owner of what it may write.

    Only the root, in which nothing has run yet, is gone through: in a folder that outlives runs
    another instance could put a link where a folder was, and have us give it anything.
    """
    for mount in order.mounts:
        if mount.writable:
            os.lchown(mount.source, uid, uid)
    os.lchown(order.root, uid, uid)
    for place, folders, files in os.walk(order.root, followlinks=False):
        for name in (*folders, *files):
            os.lchown(os.path.join(place, name), uid, uid)  # noqa: PTH118 - a million at times
