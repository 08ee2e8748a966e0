"""A keeper: the process that holds one sandbox, from its start to its end.

`python -m voltagora.platform.runner.keeper`, in the folder of a run, with its order on standard input.
It opens `control`, a socket in that folder, says so by a line on standard output, and lives until the
sandbox has ended for good; the platform may come and go meanwhile. If the keeper dies, its sandbox
dies with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from voltagora.platform.runner import boxes, cgroups
from voltagora.platform.runner.cgroups import Group
from voltagora.platform.runner.interface import Restart, RunState
from voltagora.platform.runner.orders import Command, Order, Standing
from voltagora.platform.runner.output import Output, pump
from voltagora.platform.runner.processes import below, tell
from voltagora.platform.runner.relay import Relay, ToBroker, ToIndex
from voltagora.platform.runner.watch import Watch, limits_held

CONTROL: Final = "control"
STANDING: Final = "standing.json"
OUTPUT: Final = "output.log"
_OPEN_SECONDS: Final = 20.0
_GONE_SECONDS: Final = 5.0


class Keeper:
    """Holds one sandbox."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._listeners: set[asyncio.StreamWriter] = set()
        self._stopping = asyncio.Event()
        self._asked = asyncio.Event()
        self._unwell = False
        self._output = Output(Path(OUTPUT), order.bounds.log_bytes)
        self._box = boxes.of(order)
        now = time.time()
        self._standing = Standing(
            subject=order.subject,
            state=RunState.STARTING,
            started_at=now,
            changed_at=now,
            lost=self._box.lost,
        )
        if order.index_hosts:
            self._way: Any = ToIndex(order.index_hosts, self._say)
        else:
            self._way = ToBroker(*(order.broker or ("127.0.0.1", 1883)), order.source_address)

    async def keep(self) -> None:
        """Start the sandbox, again and again if so ordered, until it has ended for good."""
        server = await asyncio.start_unix_server(self._listen, CONTROL)
        Path(CONTROL).chmod(0o600)
        os.write(1, b"\n")
        # The platform's pipes end here: what it waits for on them is that nobody holds them.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.close(nothing)
        pause = self._order.back_off.first_seconds
        try:
            while True:
                began = time.monotonic()
                code, reason = await self._once()
                if self._stopping.is_set() or not (self._unwell or self._again(code)):
                    break
                self._unwell = False
                self._asked.clear()
                if time.monotonic() - began >= self._order.back_off.settled_seconds:
                    pause = self._order.back_off.first_seconds
                self._stands(state=RunState.WAITING, code=code, reason=reason)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                if self._stopping.is_set():
                    break
                pause = min(pause * 2, self._order.back_off.most_seconds)
                self._stands(state=RunState.STARTING, restarts=self._standing.restarts + 1)
            self._stands(state=RunState.ENDED, code=code, reason=reason)
        finally:
            server.close()
            for listener in list(self._listeners):
                listener.close()
            Path(CONTROL).unlink(missing_ok=True)
            self._output.close()

    def _again(self, code: int) -> bool:
        wish = self._order.restart
        return wish is Restart.ALWAYS or (wish is Restart.ON_FAILURE and code != 0)

    # One life of the sandbox.

    async def _once(self) -> tuple[int, str]:
        """Run it once; give the code and the reason of its end."""
        order = self._order
        group = Group(cgroups.new_name(), order.bounds)
        relay = Relay(self._way, order.bounds.connections, lambda count: self._stands(relayed=count))
        held = limits_held(group, order.box, self._box.counts_processes)
        try:
            started = await self._box.start(group)
        except OSError as error:
            group.remove()
            self._say(f"cannot start: {error}\n")
            return 126, f"cannot start: {error}"
        printing = asyncio.create_task(
            pump(started.printed, self._output, order.bounds.output_bytes_per_second)
        )
        watch = Watch(order, group, started.root)
        over = asyncio.create_task(watch.until_over())
        asked = asyncio.create_task(self._asked.wait())
        ended = asyncio.create_task(started.process.wait())
        killed = ""
        try:
            opened = asyncio.create_task(self._open_door(started, relay, held))
            await asyncio.wait((over, asked, ended), return_when=asyncio.FIRST_COMPLETED)
            if over.done() and not ended.done():
                killed = over.result()
            elif opened.done() and not ended.done():
                # Before the door was opened there is nobody in there who could be asked.
                await self._ask_to_end(started, ended)
            await self._end(started, group)
            code = await ended
            opened.cancel()
            await asyncio.gather(opened, return_exceptions=True)
            if not killed and watch.out_of_memory():
                killed = "memory"
        finally:
            over.cancel()
            asked.cancel()
            await relay.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(printing), 1.0)
            printing.cancel()
            await asyncio.gather(over, asked, printing, return_exceptions=True)
            started.close()
            _collect_orphans()
            group.remove()
        return code, self._why(code, killed)

    async def _open_door(self, started: boxes.Started, relay: Relay, held: dict[str, str]) -> None:
        door = await asyncio.wait_for(started.door(), _OPEN_SECONDS)
        if door is not None:
            await relay.listen(door)
            self._stands(state=RunState.RUNNING, limits=held)
            started.go()

    async def _ask_to_end(self, started: boxes.Started, ended: asyncio.Task[int]) -> None:
        self._stands(state=RunState.STOPPING)
        await self._box.ask_to_end(started)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ended), self._order.stop_seconds)

    async def _end(self, started: boxes.Started, group: Group) -> None:
        """Kill whatever is left, also what hid behind another session or lost its parent."""
        await self._box.kill(started)
        until = time.monotonic() + _GONE_SECONDS
        while time.monotonic() < until:
            # Orphans become children of this process, see `main`.
            left = {*group.processes(), *below(os.getpid())} - self._box.own_processes()
            if not left:
                return
            tell(sorted(left), signal.SIGKILL)
            await asyncio.sleep(0.02)

    def _why(self, code: int, killed: str) -> str:
        if killed:
            return f"killed: {killed}"
        if self._stopping.is_set():
            return "stopped"
        if self._unwell:
            return "killed: unwell"
        number = code - 128 if code > 128 else -code
        if code < 0 or code > 128:
            with contextlib.suppress(ValueError):
                return f"signal: {signal.Signals(number).name}"
        return f"exited: {code}"

    # What is told.

    def _say(self, text: str) -> None:
        self._output.write(f"[platform] {text}".encode())

    def _stands(self, **changed: Any) -> None:
        self._standing = msgspec.structs.replace(self._standing, changed_at=time.time(), **changed)
        line = msgspec.json.encode(self._standing)
        fresh = Path(f"{STANDING}.new")
        with contextlib.suppress(OSError):
            fresh.write_bytes(line)
            fresh.replace(STANDING)
        for listener in self._listeners:
            listener.write(line + b"\n")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._listeners.add(writer)
        writer.write(msgspec.json.encode(self._standing) + b"\n")
        try:
            while line := await reader.readline():
                self._obey(msgspec.json.decode(line, type=Command))
        except (OSError, ValueError, asyncio.CancelledError):
            # Whoever says what we do not understand is not listened to any longer; nor is anybody
            # when it is all over.
            pass
        finally:
            self._listeners.discard(writer)
            writer.close()

    def _obey(self, command: Command) -> None:
        if command.do == "stop":
            self._stopping.set()
            self._asked.set()
        elif command.do == "unwell" and self._order.restart is not Restart.NEVER:
            self._unwell = True
            self._asked.set()
        elif command.do == "broker" and isinstance(self._way, ToBroker):
            self._way.host, self._way.port = command.host, command.port


def _collect_orphans() -> None:
    """Collect who ended as a child of this process without being started by it."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Read the order and keep it, as a process that is nobody's child."""
    if os.fork():
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    boxes.adopt_orphans()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)

    async def keep() -> None:
        keeper = Keeper(order)
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: keeper._obey(Command(do="stop"))
        )
        await keeper.keep()

    asyncio.run(keep())


if __name__ == "__main__":
    main()
