"""Many threads, two databases: every change whole, in order, and heard in that order."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from registry_stage import a_draft, a_registry, a_service, a_topic, a_user, names

from voltagora.platform.registry.entities import Change
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.registry import Registry
from voltagora.platform.rights import PlatformRights


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def program(name: str) -> str | None:
    found = shutil.which(name)
    beside = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return found or (str(beside[-1]) if beside else None)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A server of our own on a free port. It refuses to run as root, so its folder is nobody's."""
    initdb, control = program("initdb"), program("pg_ctl")
    if initdb is None or control is None:
        pytest.skip("no PostgreSQL on this machine")
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {"check": True, "cwd": folder}
        options |= {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            options |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        data, port = f"{folder}/data", free_port()
        subprocess.run([initdb, "-D", data, "-A", "trust", "-U", "us", "-N"], **options)
        words = f"-p {port} -k {folder} -c fsync=off -c listen_addresses=127.0.0.1"
        started = [control, "-w", "-D", data, "-o", words, "-l", f"{folder}/log", "start"]
        subprocess.run(started, **options)
        yield f"postgresql://us@127.0.0.1:{port}/postgres"
        subprocess.run([control, "-w", "-D", data, "-m", "immediate", "stop"], **options)


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    if request.param == "sqlite":
        with a_registry(tmp_path) as made:
            yield made
        return
    with Registry(request.getfixturevalue("postgresql")) as made:
        yield made
        for user in made.users():
            made.delete_user(user.id)


def test_changes_take_turns_and_are_heard_in_their_order(registry: Registry) -> None:
    a, b = a_user(registry, "a"), a_user(registry, "b")
    topic = a_topic(registry, a, "t")
    heard: list[Change] = []
    registry.listen(heard.append)
    rights = PlatformRights(registry, lambda *_: None)

    def work(number: int) -> int:
        taken = 0
        for each in range(4):
            (registry.grant if (number + each) % 2 else registry.revoke)(a, topic.id, "b", sub=True)
            registry.services(term="s")
            try:
                registry.create_service(a, a_draft(f"s{each}", [f"in/{each}"], ["out"]))
            except Refusal as refused:
                taken += "already exists" in str(refused)
        return taken

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(work, range(8))) == 28
    assert sorted(service.name for service in registry.services()) == ["s0", "s1", "s2", "s3"]
    assert len({topic.id for topic in registry.topics()}) == len(registry.topics()) == 6
    last = [right.can_sub for change in heard for right in change.rights if right.username == "b"][-1]
    assert registry.user_topic(b, topic.id).can_sub is last is rights.may_receive("b", "t")
    rights.close()


def test_both_databases_answer_alike(registry: Registry) -> None:
    a, b = a_user(registry, "a"), a_user(registry, "b")
    service = a_service(registry, a, "Τιμή %_", ["z", "b"], ["z", "z"])
    assert (names(service.input_topics), names(service.output_topics)) == (["z", "b"], ["z", "z"])
    assert registry.services(name="τιμή")[0] == registry.find_service(service.id) == service
    assert registry.services(name="%") == (service,)
    registry.subscribe_to_service(b, service.id)
    exported = registry.export_services(a)
    registry.delete_user(a)
    assert [topic.owner for topic in registry.topics()] == []
    assert registry.import_services(b, exported.encode())[0].owner == "b"
    for text in ("\0", "\ud800", "x" * 10_000):
        assert registry.find_user(username=text) is None
        assert registry.find_topic(name=text) is None
        registry.note(text, "test", text, text)
        with pytest.raises(Refusal):
            registry.create_service(b, a_draft("S", [text]))
    assert len(registry.audit()[0].subject) == 400
