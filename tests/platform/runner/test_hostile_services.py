"""Rows 32, 33, 34 and 36 of the threat table: what a service can do to us, and what it can see."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from pathlib import Path

import msgspec
import pytest
from runner_stage import CANARY, WHY_NOT, a_service, a_stage, processes_with, until

from voltagora.platform.registry.entities import Service
from voltagora.platform.runner.orders import MIB, Bounds
from voltagora.platform.runner.settings import Settings

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

TIGHT = Settings(
    bounds=Bounds(
        memory_bytes=128 * MIB,
        processes=40,
        cpus=0.5,
        file_bytes=16 * MIB,
        disk_bytes=48 * MIB,
        log_bytes=MIB,
        output_bytes_per_second=4 * MIB,
    ),
    alive_seconds=0.3,
    stop_seconds=0.5,
)

ABUSE = {
    "fork bomb": (
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n",
        "killed: processes",
    ),
    "1e9 allocation": ("held = bytearray(10**9)\n", "killed: memory"),
    "fill disk": (
        "import time\nfor n in range(99):\n    open(f'/x{n}', 'wb').write(b'x' * 8_000_000)\n"
        "time.sleep(60)\n",
        "killed: disk",
    ),
    "fill log": (
        "import time\nlog = open('/log/a.log', 'a')\nend = time.time() + 1.5\n"
        "while time.time() < end: print('x' * 9_999, file=log)\n",
        "exited: 0|killed: disk|exited: 1",
    ),
    "one long file": ("open('/x', 'wb').write(b'x' * 30_000_000)\n", "exited: 1"),
}


@pytest.mark.parametrize("name", ABUSE)
def test_row_32_a_service_that_takes_too_much_is_ended_and_says_why(data: Path, name: str) -> None:
    code, reasons = ABUSE[name]

    async def play() -> None:
        async with a_stage(data, TIGHT) as stage:
            service = await stage.built(a_service(f"abuse {name}", 320 + len(name)), code)
            slowest = asyncio.create_task(_slowest_turn())
            try:
                await stage.runner.start(service, "")
            except Exception as error:
                assert str(error) == "Could not run service, please check logfiles"  # noqa: PT017
            ended = await stage.until_ended(service)
            slowest.cancel()
            allowed = set(reasons.split("|"))
            if ended.limits["memory"] != "cgroup":
                allowed.add("exited: 1")  # the limit of one process is a MemoryError
            assert ended.reason in allowed
            assert _size(data / "services" / service.folder / "log") < 64 * MIB
            await stage.runner.remove(service)

    asyncio.run(play())


def test_row_32_busy_or_asleep_or_deaf_to_term_a_service_is_stopped_whole(data: Path) -> None:
    codes = {
        "busy": "while True: pass\n",
        "asleep": "import time\ntime.sleep(9_999)\n",
        "deaf": "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.fork()\n"
        "if os.fork() == 0: os.setsid()\nprint('deaf', flush=True)\ntime.sleep(9_999)\n",
    }

    async def play() -> None:
        async with a_stage(data, TIGHT) as stage:
            services = [
                await stage.built(a_service(name, 40 + n), code)
                for n, (name, code) in enumerate(codes.items())
            ]
            await asyncio.gather(*(stage.runner.start(service, "") for service in services))
            assert len(processes_with(CANARY)) >= len(services)
            await asyncio.gather(*(stage.runner.stop(service) for service in services))
            for service in services:
                assert stage.runner.runs(service)[0].reason == "stopped"
                assert stage.runner.runs(service)[0].limits["file"] == "rlimit"
            await until(lambda: not processes_with(CANARY), 3)
            assert set(stage.tokens.issued) <= set(stage.tokens.withdrawn)

    asyncio.run(play())


def test_row_32_a_flood_of_output_is_slowed_down_and_cut(data: Path) -> None:
    flood = (
        "import sys, time\nend = time.time() + 1.5\nwhile time.time() < end: sys.stdout.write('x' * 99_999)\n"
    )

    async def play() -> None:
        async with a_stage(data, TIGHT) as stage:
            service = a_service("flood", 50)
            await stage.run(service, flood)
            await stage.until_ended(service)
            assert _size(data / "runs" / "flood@1") <= 2 * MIB + 100_000

    asyncio.run(play())


PROBE = """
import glob, json, os, socket, sys

def reads(path):
    try:
        with open(path, 'rb') as file:
            return file.read(200_000).decode('latin-1')
    except OSError as error:
        return None

def lists(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return None

def reaches(family, address):
    line = socket.socket(family, socket.SOCK_STREAM)
    line.settimeout(0.5)
    try:
        line.connect(address)
        return True
    except OSError:
        return False
    finally:
        line.close()

asked = json.loads(os.environ['run_params'])
found = {
    'environment': sorted(os.environ),
    'root': lists('/'),
    'etc': lists('/etc'),
    'processes': sorted(int(n) for n in os.listdir('/proc') if n.isdigit()),
    'all environments': [reads(p) for p in glob.glob('/proc/[0-9]*/environ')],
    'all arguments': [reads(p) for p in glob.glob('/proc/[0-9]*/cmdline')],
    'files': {p: reads(p) for p in asked['files']},
    'reached': [a for a in asked['addresses'] if reaches(socket.AF_INET, tuple(a))],
    'unix': [a for a in asked['unix'] if reaches(socket.AF_UNIX, a)],
    'broker': reaches(socket.AF_INET, ('127.0.0.1', 1883)),
    'uid': [os.getuid(), os.geteuid()],
    'capabilities': [
        l for l in reads('/proc/self/status').splitlines() if l.startswith(('CapEff', 'NoNewPrivs'))
    ],
    'interfaces': sorted(n for _, n in socket.if_nameindex()),
    'writable': [
        p for p in ('/usr', '/etc/ssl/certs', '/venv', '/dev', '/proc/sys/kernel') if os.access(p, os.W_OK)
    ],
    'devices': lists('/dev'),
    'open': [n for n in range(3, 99) if os.path.exists('/proc/self/fd/%d' % n)],
}
print('FOUND' + json.dumps(found))
"""

MAY_BE_IN_ENVIRONMENT = {
    "PATH",
    "HOME",
    "LANG",
    "LC_CTYPE",
    "username",
    "password",
    "run_params",
    "BROKER",
    "CLIENT_NAME",
}
MAY_BE_IN_ROOT = {
    *("bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "log", "proc", "sbin", "tmp", "usr", "venv"),
    *(".voltagora", "Dockerfile", "service.py"),
}
MAY_BE_A_DEVICE = {
    *("core", "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout"),
    *("tty", "urandom", "zero", "console"),
}


def test_rows_33_and_34_a_service_sees_its_own_and_reaches_the_broker_only(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_OF_THE_PLATFORM", "canary-of-the-platform")
    secret = data / "platform.db"
    secret.write_text("canary-of-the-database")

    async def play() -> dict[str, object]:
        with socket.create_server(("127.0.0.1", 0)) as inner, socket.create_server(("0.0.0.0", 0)) as outer:
            async with a_stage(data, TIGHT) as stage:
                other = await stage.built(
                    a_service("other", 60), "# canary-of-another\nimport time\ntime.sleep(99)\n"
                )
                await stage.runner.start(other, "")
                service = await stage.built(a_service("probe", 61), PROBE)
                control = data / "runs" / "other@1" / "control"
                files = [
                    *("/proc/1/environ", "/etc/shadow", "/root/.bashrc", "/root/.ssh/id_rsa", str(secret)),
                    str(data / "services" / other.folder / "files" / "service.py"),
                    f"/proc/{os.getpid()}/environ",
                    *("/var/run/docker.sock", "/run/docker.sock", "/sys/class/dmi/id/product_uuid"),
                ]
                ports = [stage.hub.mqtt_port, inner.getsockname()[1], outer.getsockname()[1], 22, 80, 5432]
                addresses = [["127.0.0.1", port] for port in ports] + [["169.254.169.254", 80]]
                addresses += [[_own_address(), port] for port in ports] + [["1.1.1.1", 53]]
                asked = {"files": files, "addresses": addresses, "unix": [str(control), "/run/docker.sock"]}
                try:
                    await stage.runner.start(service, json.dumps(asked))
                except Exception as error:
                    raise AssertionError(await stage.printed(service)) from error
                await stage.until_ended(service)
                text = await stage.printed(service)
                await stage.runner.stop(other)
                assert "FOUND" in text, text
                return json.loads(text.partition("FOUND")[2])  # type: ignore[no-any-return]

    found = asyncio.run(play())
    assert set(found["environment"]) <= MAY_BE_IN_ENVIRONMENT | {"in_topic_1", "out_topic_1"}  # type: ignore[call-overload]
    assert set(found["root"]) <= MAY_BE_IN_ROOT | {Path(sys.base_prefix).parts[1]}  # type: ignore[call-overload]
    assert set(found["devices"]) <= MAY_BE_A_DEVICE  # type: ignore[call-overload]
    read = {path: text for path, text in found["files"].items() if text is not None}  # type: ignore[attr-defined]
    # The first process in there is the sandbox's own, with the environment that the service has.
    assert set(read) <= {"/proc/1/environ"}
    assert (found["reached"], found["unix"], found["broker"]) == ([], [], True)
    assert found["uid"] == [1000, 1000]
    assert found["capabilities"] == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
    assert found["interfaces"] == ["lo"]
    assert found["writable"] == []
    assert found["open"] == []
    assert len(found["processes"]) == 2  # type: ignore[arg-type]
    everything = json.dumps(found)
    for canary in ("canary-of-the-platform", "canary-of-the-database", "canary-of-another"):
        assert canary not in everything
    told = {"all environments", "files"}  # hold our own question, with its paths
    assert str(data) not in json.dumps({name: what for name, what in found.items() if name not in told})
    assert CANARY not in json.dumps(found["all arguments"])


NASTY = [
    "--flag",
    "$(touch CANARY)",
    "`touch CANARY`",
    "; touch CANARY",
    "a\ntouch CANARY\n",
    "../../CANARY",
    "'; touch CANARY; '",
    "%s{0}",
]


def test_row_36_names_and_parameters_are_data_everywhere(data: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = "import os\nprint('GOT', [os.environ[n] for n in ('run_params', 'CLIENT_NAME', 'in_topic_1')])\n"

    async def play() -> None:
        async with a_stage(data, TIGHT) as stage:
            for number, text in enumerate(NASTY):
                text = text.replace("CANARY", str(canary))
                service = msgspec.structs.replace(
                    a_service(f"-n{number} svc" if number % 2 else f"nasty{number}", 70 + number, (text,)),
                    name=text,
                )
                await stage.built(service, code)
                await stage.runner.start(service, f"  {json.dumps(text)} ")
                await stage.until_ended(service)
                got = (await stage.printed(service)).partition("GOT ")[2].strip()
                client = (
                    f"{service.folder.lower()}_client" if number % 2 == 0 else f"service-{service.id}_client"
                )
                assert got == str([json.dumps(text), client, text])

    asyncio.run(play())
    assert not canary.exists()


@pytest.mark.parametrize("folder", ["..", ".", "", "a/b", "../x", "a\0b", "/etc"])
def test_row_36_a_folder_that_is_none_is_refused(data: Path, folder: str) -> None:
    async def play(service: Service) -> None:
        async with a_stage(data, TIGHT) as stage:
            with pytest.raises(Exception, match="Not a valid name"):
                await stage.put(service, Dockerfile="x")

    asyncio.run(play(msgspec.structs.replace(a_service("x"), folder=folder)))


async def _slowest_turn() -> float:
    """How long the loop was kept from its work at most; looked at by eye, never asserted."""
    slowest = 0.0
    while True:
        began = time.monotonic()
        await asyncio.sleep(0.01)
        slowest = max(slowest, time.monotonic() - began)


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.glob("*") if file.is_file())


def _own_address() -> str:
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.1.1"
