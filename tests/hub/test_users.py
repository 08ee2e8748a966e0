"""Users in a file: who may connect, read again at a change, and what guessing costs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_line import ALICE, BOB, Line, run, subscribe, users_file
from hypothesis import given
from hypothesis import strategies as st

from voltagora.hub import passwords
from voltagora.hub.errors import SetupError
from voltagora.hub.logins import Backoff
from voltagora.hub.rights import Login
from voltagora.hub.server import Hub
from voltagora.hub.users import Users, parse_users


def login(user: str | None, password: bytes | None) -> Login:
    return Login(user, password, "c", "here")


def test_passwords_are_hashed_and_compared(tmp_path: Path) -> None:
    users = Users(users_file(tmp_path, *ALICE))
    for _ in range(2):
        assert users.may_connect(login("alice", b"right")) == "alice"
        assert users.may_connect(login("alice", b"wrong")) is None
        assert users.may_connect(login("bob", b"right")) is None
        assert users.may_connect(login(None, None)) is None
    assert "right" not in repr(login("alice", b"right"))
    assert passwords.hash_password("x") != passwords.hash_password("x")


@pytest.mark.parametrize(
    ("lines", "field"),
    [
        (["[user.alice]"], "user"),
        (["[users.alice]", "publish = []"], "users.alice.password"),
        (["[users.alice]", 'password = "secret"'], "users.alice.password"),
        (["[users.alice]", "HASH", 'publish = "a"'], "users.alice.publish"),
        (["[users.alice]", "HASH", 'publish = ["a", "a#"]'], r"users.alice.publish\[1\]"),
        (["[users.alice]", "HASH", 'subscribe = ["$share/g/a"]'], r"users.alice.subscribe\[0\]"),
        (["[users.alice]", "HASH", "pubish = []"], "users.alice.pubish"),
        (["users = 1"], "users"),
        (["[users"], "users.toml"),
    ],
)
def test_a_users_file_that_is_wrong_says_where_and_shows_no_secret(
    tmp_path: Path, lines: list[str], field: str
) -> None:
    with pytest.raises(SetupError, match=field) as caught:
        Users(users_file(tmp_path, *lines))
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_a_users_file_or_an_error_that_says_so(some: str) -> None:
    try:
        parse_users(some)
    except SetupError:
        return


def test_the_users_file_is_read_again_and_acts_at_once(tmp_path: Path) -> None:
    async def live() -> None:
        path = users_file(tmp_path, *ALICE, *BOB)
        async with Hub(mqtt="127.0.0.1:0", users=path) as hub:
            alice = await Line.open(hub.mqtt_port, client="a", user="alice", password=b"right")
            bob = await Line.open(hub.mqtt_port, client="b", user="bob", password=b"right")
            alice.writer.write(subscribe("a/#"))
            assert (await alice.next("suback")).codes == [1]
            assert (await bob.next("connack")).code == 0

            users_file(tmp_path, "nonsense")
            hub.look_at_users()
            hub.publish("a/x", b"1")
            assert (await alice.next("publish")).payload == b"1"

            users_file(tmp_path, "[users.alice]", "HASH", 'publish = ["b"]', 'subscribe = ["b"]')
            hub.look_at_users()
            hub.publish("a/x", b"2")
            alice.writer.write(subscribe("b") + subscribe("a/#"))
            assert [(await alice.next("suback")).codes for _ in range(2)] == [[1], [0x87]]
            hub.publish("b", b"3")
            assert (await alice.next("publish")).payload == b"3"
            goodbye = await bob.next()
            assert (goodbye.kind, goodbye.code) == ("disconnect", 0x87)
            alice.close()
            bob.close()

    run(live())


def test_guessing_passwords_is_slowed_and_the_answers_tell_nothing(tmp_path: Path) -> None:
    async def live() -> list[tuple[str, int]]:
        asked: list[Login] = []

        class Counted(Users):
            def may_connect(self, login: Login) -> str | None:
                asked.append(login)
                return super().may_connect(login)

        async with Hub(mqtt="127.0.0.1:0", rights=Counted(users_file(tmp_path, *ALICE))) as hub:
            answers = []
            for user in ["alice", "nobody"] * 20:
                line = await Line.open(hub.mqtt_port, user=user, password=b"guess")
                answer = await line.next()
                answers.append((answer.kind, answer.code))
                line.close()
            assert len(asked) < 20
            return answers

    assert set(run(live())) == {("connack", 0x86)}


def test_the_wait_after_wrong_passwords_grows_and_ends() -> None:
    backoff = Backoff()
    now, waits = 0.0, []
    for _ in range(12):
        began = now
        while not backoff.may_try("1.2.3.4", "alice", now):
            now += 0.5
        waits.append(now - began)
        backoff.failed("1.2.3.4", "alice", now)
    assert waits[:6] == [0.0] * 6
    assert waits[6:] == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert backoff.may_try("5.6.7.8", "alice", now)
    assert backoff.may_try("1.2.3.4", "bob", now)
    backoff.succeeded("1.2.3.4", "alice")
    assert backoff.may_try("1.2.3.4", "alice", now)
