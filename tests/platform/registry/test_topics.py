"""Topics and rights of the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_stage import a_registry, a_service, a_topic, a_user, names

from voltagora.platform.registry.entities import ADMIN_ID, Change, Quotas, RightChange, TopicDraft, Visibility
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with a_registry(tmp_path) as made:
        made.ensure_admin("hash")
        a_user(made, "a")
        a_user(made, "b")
        yield made


A, B = 1, 2


def bits(registry: Registry, user: int, topic: int) -> tuple[bool, bool]:
    right = registry.user_topic(user, topic)
    return right.can_sub, right.can_pub


def test_whoever_makes_a_topic_may_do_both(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    assert (topic.id, topic.owner) == (1, "a")
    assert bits(registry, A, topic.id) == (True, True)
    assert bits(registry, B, topic.id) == (False, False)


def test_a_blank_name_becomes_a_uuid(registry: Registry) -> None:
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", a_topic(registry, A, " ").name)


def test_a_name_is_taken_once(registry: Registry) -> None:
    a_topic(registry, A, "t")
    for user in (A, B):
        with pytest.raises(Refusal) as refused:
            a_topic(registry, user, "t")
        assert (refused.value.status, refused.value.message) == (400, "A topic with name 't' already exists.")


@pytest.mark.parametrize(
    ("there", "wanted", "blocked"),
    [
        ("a/#", "a/b", True),
        ("a/#", "a", True),
        ("a/b", "a/#", True),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/+/c", "a/#", True),
        ("a/+", "+/b", True),
        ("a/b", "a/c", False),
        ("a/b", "b/#", False),
    ],
)
def test_others_wildcards_block_and_own_do_not(
    registry: Registry, there: str, wanted: str, blocked: bool
) -> None:
    a_topic(registry, A, there)
    if wanted.startswith("+"):
        registry.set_admin(ADMIN_ID, "b", True)
    if blocked:
        with pytest.raises(Refusal) as refused:
            a_topic(registry, B, wanted)
        assert refused.value.status == 400
        assert refused.value.message == f"Blocked by the following topics '['{there}']'."
    else:
        a_topic(registry, B, wanted)
    if not wanted.startswith("+"):
        a_topic(registry, A, f"{wanted}") if blocked else None


def test_search_takes_parts_in_any_case_and_all_must_fit(registry: Registry) -> None:
    for name, said, kind in (("EV/1", "Τιμή", "float"), ("ev/2", "x", "string"), ("CS", "ev", "float")):
        registry.create_topic(A, TopicDraft(name=name, description=said, topic_ontology=kind))
    assert names(registry.topics(name="ev")) == ["EV/1", "ev/2"]
    assert names(registry.topics(name="ev", topic_ontology="float")) == ["EV/1"]
    assert names(registry.topics(description="τιμΉ")) == ["EV/1"]
    assert names(registry.topics(term="EV")) == ["EV/1", "ev/2", "CS"]
    assert names(registry.topics(name="%")) == []


def test_asking_for_an_open_topic_gives_sub_and_keeps_pub(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    registry.grant(A, topic.id, "b", pub=True)
    assert registry.ask_to_subscribe(B, topic.id) == topic
    assert bits(registry, B, topic.id) == (True, True)
    assert [(right.topic.name, right.can_pub) for right in registry.user_topics(B, "sub")] == [("t", True)]


def test_asking_for_a_topic_that_needs_approval_waits_for_its_owner(registry: Registry) -> None:
    topic = a_topic(registry, A, "t", visibility=Visibility.APPROVAL)
    registry.ask_to_subscribe(B, topic.id)
    assert bits(registry, B, topic.id) == (False, False)
    waiting = [right.username for right in registry.rights_of_topic(A, topic.id) if right.asked]
    assert waiting == ["b"]
    assert registry.grant(A, topic.id, "b", sub=True).can_sub
    assert not registry.user_topic(B, topic.id).asked


def test_who_was_put_out_is_let_in_by_the_owner_only(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    registry.ask_to_subscribe(B, topic.id)
    registry.revoke(A, topic.id, "b")
    registry.ask_to_subscribe(B, topic.id)
    assert bits(registry, B, topic.id) == (False, False)
    registry.grant(A, topic.id, "b", sub=True)
    assert bits(registry, B, topic.id) == (True, False)


def test_row38_only_the_owner_grants_revokes_changes_and_deletes(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    registry.grant(A, topic.id, "b", sub=True, pub=True)
    for attempt in (
        lambda: registry.grant(B, topic.id, "b", pub=True),
        lambda: registry.revoke(B, topic.id, "a"),
        lambda: registry.change_topic(B, topic.id, description="mine"),
        lambda: registry.rights_of_topic(B, topic.id),
        lambda: registry.delete_topic(B, topic.id),
    ):
        with pytest.raises(Refusal) as refused:
            attempt()
        assert refused.value.status == 401
        assert str(refused.value.message).startswith("Not permitted")
    with pytest.raises(Refusal, match="stays"):
        registry.revoke(A, topic.id, "a")


def test_deleting_says_why_not(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    with pytest.raises(Refusal) as refused:
        registry.delete_topic(B, topic.id)
    assert (refused.value.status, refused.value.message) == (401, "Not permitted")
    registry.ask_to_subscribe(B, topic.id)
    with pytest.raises(Refusal) as refused:
        registry.delete_topic(B, topic.id)
    assert (refused.value.status, refused.value.message) == (401, "Not permitted, not topic owner")
    a_service(registry, A, "S", ["t"], ["t"])
    with pytest.raises(Refusal) as refused:
        registry.delete_topic(A, topic.id)
    assert refused.value.status == 401
    assert refused.value.message == ("Topic used in services: ['S'], delete first services and then topic")
    with pytest.raises(Refusal) as refused:
        registry.delete_topic(A, 99)
    assert (refused.value.status, refused.value.message) == (404, "Ivalid user or topic does not exist")


def test_rights_do_not_outlive_their_topic(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    registry.ask_to_subscribe(B, topic.id)
    seen: list[Change] = []
    registry.listen(seen.append)
    registry.delete_topic(A, topic.id)
    gone = {RightChange(username=user, topic="t", can_sub=False, can_pub=False) for user in ("a", "b")}
    assert set(seen[0].rights) == gone
    again = a_topic(registry, B, "t")
    assert again.id != topic.id
    assert bits(registry, A, again.id) == (False, False)


def test_listeners_hear_after_the_commit_and_of_nothing_that_was_refused(registry: Registry) -> None:
    heard: list[list[str]] = []
    stop = registry.listen(lambda change: heard.append(names(registry.topics())))
    a_topic(registry, A, "t")
    with pytest.raises(Refusal):
        a_topic(registry, A, "t")
    stop()
    a_topic(registry, A, "u")
    assert heard == [["t"]]


def test_a_user_has_a_quota_of_topics(tmp_path: Path) -> None:
    with a_registry(tmp_path, quotas=Quotas(topics=2)) as registry:
        user = a_user(registry, "a")
        a_topic(registry, user, "1")
        a_topic(registry, user, "2")
        with pytest.raises(Refusal, match="No more than 2 topics"):
            a_topic(registry, user, "3")


def test_what_was_done_is_on_record(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    registry.grant(A, topic.id, "b", sub=True)
    registry.revoke(A, topic.id, "b")
    told = [
        (entry.actor, entry.action, entry.subject, entry.detail)
        for entry in registry.audit(actor="a", limit=3)
    ]
    assert told == [
        ("a", "revoke", "topic t", "b: SUB False, PUB False"),
        ("a", "grant", "topic t", "b: SUB True"),
        ("a", "create_topic", "topic t", ""),
    ]
