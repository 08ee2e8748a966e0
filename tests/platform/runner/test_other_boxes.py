"""Where there is no cgroup, no sandbox, or an engine instead; and what the doctor says beforehand."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest
from runner_stage import CANARY, DOCKERFILE, WHY_NOT, a_service, a_stage, processes_with, until

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner import sandbox
from voltagora.platform.runner.cgroups import Group
from voltagora.platform.runner.doctor import doctor
from voltagora.platform.runner.orders import MIB, Bounds
from voltagora.platform.runner.places import source_address
from voltagora.platform.runner.settings import Settings

sandboxed = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
QUICK = Settings(alive_seconds=0.3, stop_seconds=1.0)
SLEEPS = "import time\nprint('up', flush=True)\ntime.sleep(9_999)\n"


@sandboxed
def test_without_cgroups_limits_hold_by_rlimit_and_by_being_watched(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bounds = Bounds(memory_bytes=64 * MIB, processes=20)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", ""))))
    (tmp_path / "sitecustomize.py").write_text(
        "from pathlib import Path\nimport voltagora.platform.runner.cgroups as c\nc._bases = lambda *_: []\n"
    )
    hungry = "import os, time\ntime.sleep(1)\n"
    hungry += "for _ in range(3):\n    if os.fork() == 0: break\nheld = b'x' * 40_000_000\ntime.sleep(99)\n"
    bomb = (
        "import os, time\nfor _ in range(99):\n    try: os.fork()\n    except OSError: pass\ntime.sleep(99)\n"
    )

    async def play() -> None:
        async with a_stage(data, msgspec.structs.replace(QUICK, bounds=bounds)) as stage:
            one, two = a_service("hungry", 409), a_service("bomb", 410)
            await stage.built(one, hungry)
            await stage.built(two, bomb)
            await stage.runner.start(one, "")
            await until(lambda: stage.runner.runs(one)[0].limits)
            limits = stage.runner.runs(one)[0].limits
            assert (limits["memory"], limits["processes"], limits["cpu"]) == ("watched", "rlimit", "none")
            await stage.runner.start(two, "")
            assert (await stage.until_ended(one)).reason == "killed: memory"
            assert (await stage.until_ended(two)).reason == "killed: processes"

    asyncio.run(play())


def test_without_a_sandbox_nothing_is_run_unless_the_operator_insists(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "bubblewrap (bwrap) is not installed")
    code = "import os, socket\nopen('log/x.log', 'w')\n"
    code += (
        "socket.create_connection((os.environ['BROKER'], 1883), 3)\nprint('reached', flush=True)\n" + SLEEPS
    )

    async def play() -> None:
        service = a_service("insecure", 411)
        async with a_stage(data, QUICK) as stage:
            await stage.put(service, Dockerfile=DOCKERFILE, service_py=code)
            with pytest.raises(Refusal, match=r"cannot be run safely here: bubblewrap .* --insecure-runner"):
                await stage.runner.build(service)
        async with a_stage(data, msgspec.structs.replace(QUICK, insecure=True)) as stage:
            await stage.runner.build(service)
            run = await stage.runner.start(service, "")
            assert any("can read whatever the platform" in lost for lost in run.lost)
            await until(lambda: "up" in (data / "runs/insecure@1/output.log").read_text())
            assert "reached" in await stage.printed(service)
            assert (data / "services/insecure/log/x.log").exists()
            await stage.runner.stop(service)
            assert processes_with(CANARY) == []

    asyncio.run(play())


FAKE_ENGINE = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(json.dumps(words) + chr(10))
if words[0] == "build":
    print("Step 1/1")
elif words[:2] == ["image", "inspect"]:
    print(json.dumps({{"Entrypoint": None, "Cmd": ["python3", "-u", {service!r}], "WorkingDir": "/"}}))
elif words[0] == "run":
    mounts = dict(reversed(words[n + 1].split(":")[:2]) for n, word in enumerate(words) if word == "--volume")
    at = words.index("--entrypoint")
    inside = [words[at + 1], *words[at + 3:]]
    changed = [mounts.get(w, w) for w in inside]
    changed = ["unix:" + mounts[w[5:]] if w.startswith("unix:") else w for w in changed]
    os.execvp(changed[0], changed)
elif words[0] in ("stop", "rm"):
    subprocess.call(["pkill", "-f", {service!r}])
"""


def test_an_engine_builds_and_runs_the_same_service_without_a_network(data: Path, tmp_path: Path) -> None:
    """The engine is a stand-in that notes its calls and runs what is asked for beside itself."""
    calls, service_file = tmp_path / "calls", tmp_path / f"service_{os.getpid()}.py"
    service_file.write_text(
        "import os, time\nprint('up', os.environ['CLIENT_NAME'], flush=True)\ntime.sleep(99)\n"
    )
    fake = tmp_path / "docker"
    fake.write_text(FAKE_ENGINE.format(python=sys.executable, calls=str(calls), service=str(service_file)))
    fake.chmod(0o755)

    async def play() -> None:
        async with a_stage(data, msgspec.structs.replace(QUICK, engine=str(fake))) as stage:
            service = a_service("Engine Svc", 412)
            await stage.put(service, Dockerfile="FROM anything\nRUN whatever\n")
            await stage.runner.build(service)
            await stage.runner.start(service, "")
            await until(lambda: "up engine_svc_client" in (data / "runs/Engine_Svc@1/output.log").read_text())
            await until(lambda: stage.runner.runs(service)[0].limits)
            assert stage.runner.runs(service)[0].limits["memory"] == "cgroup"
            await stage.runner.stop(service)
            await stage.runner.remove(service)

    asyncio.run(play())
    said = [msgspec.json.decode(line, type=list[str]) for line in calls.read_text().splitlines()]
    run = next(words for words in said if words[0] == "run")
    assert run[run.index("--network") + 1] == "none"
    assert run[run.index("--cap-drop") + 1] == "ALL"
    assert CANARY not in calls.read_text()
    assert [words[0] for words in said][:3] == ["info", "build", "image"]
    assert said[-1][:3] == ["image", "rm", "--force"]


def test_a_controller_that_cannot_be_used_is_not_said_to_hold(tmp_path: Path) -> None:
    """On a tree that looks like cgroup v2 with `memory` handed down and nothing else."""
    own = tmp_path / "own"
    own.write_text("0::/user.slice/app.slice/me.scope\n")
    base = tmp_path / "cgroup/user.slice/app.slice/me.scope"
    base.mkdir(parents=True)
    for folder in (base / "g", base.parent / "g"):
        folder.mkdir()
        (folder / "cgroup.procs").touch()
    (base.parent / "g" / "memory.max").touch()
    group = Group("g", Bounds(memory_bytes=5), tmp_path / "cgroup", own)
    assert group.holds == {"memory"}
    assert (base.parent / "g" / "memory.max").read_text() == "5"
    assert group.entrances == (str(base.parent / "g" / "cgroup.procs"),)
    assert Group("g", Bounds(), tmp_path / "nothing", tmp_path / "nowhere").holds == frozenset()


def test_the_doctor_says_what_the_runner_will_find(tmp_path: Path) -> None:
    found = {finding.what: finding for finding in asyncio.run(doctor(tmp_path / "not there yet"))}
    assert list(found) == ["sandbox", "pythons", "engines", "limits", "disk"]
    assert found["sandbox"].good is (WHY_NOT is None)
    assert ".".join(map(str, sys.version_info[:2])) in found["pythons"].said


def test_the_broker_sees_each_service_at_an_address_of_its_own(data: Path) -> None:
    addresses = {
        source_address(a_service("x", number), instance) for number in range(1, 200) for instance in (1, 2)
    }
    assert len(addresses) == 398
    assert all(address.startswith("127.") and not address.startswith("127.0.") for address in addresses)
