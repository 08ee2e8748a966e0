"""What is written for a broker is read by it as it was meant, is whole, and is nobody else's to read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers import program
from voltagora.brokers import hub, mosquitto
from voltagora.brokers.account import Account
from voltagora.brokers.errors import BrokerError
from voltagora.brokers.files import replace
from voltagora.hub.passwords import hash_password
from voltagora.hub.rights import Grant
from voltagora.hub.users import parse_users

HASH = hash_password("x", salt=bytes(16))
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+"), min_size=1, max_size=9)
LEVELS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/+#"), max_size=5)
FILTERS = st.lists(LEVELS | st.just("+"), min_size=1, max_size=3).map(lambda levels: "/".join(["t", *levels]))
GRANTS = st.builds(Grant, *(st.lists(FILTERS, max_size=3).map(tuple) for _ in range(3)))


@given(st.dictionaries(NAMES, GRANTS, max_size=4))
def test_a_hub_reads_the_grants_that_were_written_for_it(grants: dict[str, Grant]) -> None:
    text = "\n".join(hub._lines({user: Account(grant, HASH) for user, grant in grants.items()}))

    assert parse_users(text) == (grants, dict.fromkeys(grants, HASH))


def test_who_has_no_password_cannot_be_anybody(tmp_path: Path) -> None:
    hub.write(tmp_path / "users.toml", {"a": Account(Grant(("t",))), "b": Account(Grant(("t",)), HASH)})

    assert list(parse_users((tmp_path / "users.toml").read_text())[0]) == ["b"]


def test_files_are_for_their_owner_and_stay_for_whom_they_were_given_to(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    replace(path, ["one"])
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    replace(path, ["two"])
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text() == "two\n"


def test_a_file_stays_as_it_was_if_writing_fails(tmp_path: Path) -> None:
    def lines() -> list[str]:
        raise RuntimeError

    path = tmp_path / "secret"
    replace(path, ["one"])
    with pytest.raises(RuntimeError):
        replace(path, (each for _ in "x" for each in lines()))
    assert path.read_text() == "one\n"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_mosquitto_is_told_who_may_do_what(tmp_path: Path) -> None:
    stored = mosquitto.mosquitto_hash("right")
    grant = Grant(publish=("a/b", "both"), subscribe=("both", "c/+"), deny=("c/d",))
    mosquitto.write(tmp_path, {"al ice": Account(grant, stored), "bob": Account(Grant())})

    assert (tmp_path / "access").read_text().split("\n") == [
        "user al ice",
        "topic write a/b",
        "topic readwrite both",
        "topic read c/+",
        "topic deny c/d",
        "",
        "user bob",
        "",
        "",
    ]
    assert (tmp_path / "passwords").read_text() == f"al ice:{stored}\n"
    settings = (tmp_path / "voltagora.conf").read_text()
    for line in ("allow_anonymous false", "max_queued_messages 0", f"acl_file {tmp_path}/access"):
        assert line in settings.split("\n")


def test_hashes_are_of_the_kind_that_mosquitto_makes(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.touch(0o600)
    subprocess.run(
        [program("mosquitto_passwd"), "-b", str(made), "alice", "right"], check=True, capture_output=True
    )

    theirs = made.read_text().strip().partition(":")[2]
    assert mosquitto.is_mosquitto_hash(theirs)
    assert [len(part) for part in theirs.split("$")] == [
        len(part) for part in mosquitto.mosquitto_hash("right").split("$")
    ]


@pytest.mark.parametrize("name", ["", " a", "a ", "a:b", "a\nuser b", "a/b", "#", "a+b", "x" * 201])
def test_a_name_that_mosquitto_would_read_as_another_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot hold this name"):
        mosquitto.write(tmp_path, {name: Account(Grant())})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("secret", ["right", HASH, "$7$101$a$b\nalice:$7$101$a$b"])
def test_a_password_that_is_not_hashed_for_mosquitto_is_neither_written_nor_shown(
    secret: str, tmp_path: Path
) -> None:
    with pytest.raises(BrokerError, match="not hashed for mosquitto") as caught:
        mosquitto.write(tmp_path, {"alice": Account(Grant(), secret)})
    assert secret not in str(caught.value)


@pytest.mark.parametrize("text", ["a\nuser b", "a\r", " a", "a ", "a\0"])
def test_a_topic_that_mosquitto_would_read_as_another_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="cannot hold this topic"):
        mosquitto.write(tmp_path, {"alice": Account(Grant(publish=(text,)))})
