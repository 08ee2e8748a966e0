"""Users of the registry."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_stage import Wall, a_registry, a_service, a_topic, a_user, names

from voltagora.domain.errors import InputError
from voltagora.platform.registry.entities import ADMIN_ID, Change
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.registry import Registry
from voltagora.platform.registry.shapes import user_json


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with a_registry(tmp_path, wall=Wall()) as made:
        yield made


def test_ids_count_from_1_and_the_administrator_takes_none(registry: Registry) -> None:
    assert registry.ensure_admin("hash")
    assert [a_user(registry, name) for name in ("a", "b", "c")] == [1, 2, 3]
    assert not registry.ensure_admin("hash")
    admin = registry.find_user(ADMIN_ID)
    assert admin is not None
    assert (admin.username, admin.admin) == ("admin", True)
    assert [user.id for user in registry.users()] == [1, 2, 3, ADMIN_ID]


def test_an_id_is_never_used_twice(registry: Registry) -> None:
    registry.delete_user(a_user(registry, "a"))
    assert a_user(registry, "b") == 2


def test_a_user_is_shown_as_clients_know_it(registry: Registry) -> None:
    user = registry.register_user("a", "A@example.org", "hash")
    assert list(user_json(user).items()) == [
        ("id", 1),
        ("username", "a"),
        ("email", "A@example.org"),
        ("registered_on", "Tuesday, 25 November 2025 01:11AM"),
        ("confirmed", False),
        ("confirmed_on", "Not yet Confirmed"),
        ("admin", False),
    ]
    assert user_json(registry.confirm_user(1))["confirmed_on"] == "Tuesday, 25 November 2025 01:11AM"


@pytest.mark.parametrize(
    ("username", "email", "words"),
    [
        ("a", "new@example.org", "A user with this username already exists."),
        ("new", "A@EXAMPLE.org", "A user with this email already exists."),
        ("a b", "new@example.org", "Username a b is not valid."),
        ("new", "new", "Email new is not valid."),
        ("Admin", "new@example.org", "Name Admin is not permitted."),
    ],
)
def test_who_cannot_be_registered(registry: Registry, username: str, email: str, words: str) -> None:
    a_user(registry, "a")
    with pytest.raises(Refusal) as refused:
        registry.register_user(username, email, "hash")
    assert (refused.value.status, refused.value.message) == (400, words)


def test_another_address_is_not_confirmed_yet(registry: Registry) -> None:
    user = a_user(registry, "a")
    registry.confirm_user(user)
    assert registry.change_user(user, email="A@Example.org").confirmed_at is not None
    assert registry.change_user(user, email="b@example.org").confirmed_at is None


def test_a_new_password_ends_logins_and_connections(registry: Registry) -> None:
    user = a_user(registry, "a")
    registry.remember_login("j", "f", user, 2_000_000_000)
    seen: list[Change] = []
    registry.listen(seen.append)
    registry.change_user(user, password_hash="other")
    assert registry.family_of_login("j") is None
    assert seen[0].users_out == ("a",)
    assert registry.password_hash(user) == "other"


def test_a_deleted_user_takes_services_rights_and_unused_topics_along(registry: Registry) -> None:
    a, b = a_user(registry, "a"), a_user(registry, "b")
    a_topic(registry, a, "unused")
    used = a_topic(registry, a, "used")
    a_service(registry, a, "mine", ["used"], ["mine/out"])
    registry.ask_to_subscribe(b, used.id)
    a_service(registry, b, "theirs", ["used"])
    seen: list[Change] = []
    registry.listen(seen.append)

    registry.delete_user(a)

    assert registry.find_user(a) is None
    assert names(registry.topics()) == ["used"]
    assert registry.topics()[0].owner is None
    assert [service.name for service in registry.services()] == ["theirs"]
    assert seen[0].users_gone == ("a",)
    assert {topic.name for topic in seen[0].topics_gone} == {"unused", "mine/out"}
    with pytest.raises(Refusal) as refused:
        a_topic(registry, a, "t")
    assert refused.value.status == 404


def test_only_an_administrator_makes_or_deletes_others_and_one_always_stays(registry: Registry) -> None:
    registry.ensure_admin("hash")
    a, _ = a_user(registry, "a"), a_user(registry, "b")
    for forbidden in (lambda: registry.set_admin(a, "a", True), lambda: registry.delete_user(a, "b")):
        with pytest.raises(Refusal) as refused:
            forbidden()
        assert refused.value.status == 403
    for last in (
        lambda: registry.set_admin(ADMIN_ID, "admin", False),
        lambda: registry.delete_user(ADMIN_ID),
    ):
        with pytest.raises(Refusal, match="last administrator"):
            last()
    registry.set_admin(ADMIN_ID, "a", True)
    registry.delete_user(a, "b")
    registry.set_admin(a, "admin", False)


def test_nobody_else_on_the_machine_reads_the_database(registry: Registry, tmp_path: Path) -> None:
    a_user(registry, "a")
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_what_was_registered_is_there_at_the_next_start(tmp_path: Path) -> None:
    with a_registry(tmp_path) as first:
        a_user(first, "a")
    with a_registry(tmp_path) as second:
        assert second.find_user(username="a") is not None


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://a:secret@h/x", "secret"])
def test_databases_that_are_none(url: str) -> None:
    with pytest.raises(InputError) as refused:
        Registry(url)
    assert "secret" not in str(refused.value)


def test_logins_that_expired_are_forgotten(tmp_path: Path) -> None:
    wall = Wall()
    with a_registry(tmp_path, wall=wall) as registry:
        registry.remember_login("old", "f", 1, int(wall.at) + 10)
        wall.at += 20
        registry.remember_login("new", "g", 1, int(wall.at) + 10)
        assert registry.family_of_login("old") is None
        assert registry.family_of_login("new") == "g"
        registry.end_login("g")
        assert registry.family_of_login("new") is None
