"""Services of the registry: topics in order, subscribers, copies, files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_stage import a_draft, a_registry, a_service, a_topic, a_user, names

from voltagora.platform.registry.entities import Change, Quotas, Service, TokenKind, Visibility
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.registry import Registry

A, B = 1, 2


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with a_registry(tmp_path) as made:
        a_user(made, "a")
        a_user(made, "b")
        yield made


def refusal(attempt: Any) -> tuple[int, Any]:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value.status, refused.value.message


def in_order(service: Service) -> tuple[list[str], list[str]]:
    return names(service.input_topics), names(service.output_topics)


def test_topics_keep_their_order_whatever_their_ids(registry: Registry) -> None:
    for name in ("z", "m", "b"):
        a_topic(registry, A, name)
    service = a_service(registry, A, "S", ["b", "new", "z", "m"], ["z", "b", "also new"])
    expected = (["b", "new", "z", "m"], ["z", "b", "also new"])
    assert in_order(service) == expected
    assert in_order(registry.services()[0]) == expected
    assert in_order(registry.services_owned(A)[0]) == expected
    changed = registry.update_service(A, service.id, a_draft("S", ["m", "b"], ["z"]))
    assert in_order(changed) == (["m", "b"], ["z"])


def test_one_topic_may_be_input_and_output(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["t", "t"], ["t"])
    assert in_order(service) == (["t", "t"], ["t"])
    assert len(registry.topics()) == 1


def test_blank_names_become_topics_of_their_own(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["", ""], [""])
    assert len({*names(service.input_topics), *names(service.output_topics)}) == 3


def test_existing_topics_need_the_right_for_their_direction(registry: Registry) -> None:
    topic = a_topic(registry, A, "t")
    denied = (400, "User b not permitted to use topic t.")
    assert refusal(lambda: a_service(registry, B, "S", ["t"])) == denied
    registry.ask_to_subscribe(B, topic.id)
    a_service(registry, B, "reads", ["t"])
    assert refusal(lambda: a_service(registry, B, "writes", [], ["t"])) == denied
    registry.grant(A, topic.id, "b", pub=True)
    a_service(registry, B, "writes", [], ["t"])


def test_a_right_to_a_wildcard_reaches_what_it_covers(registry: Registry) -> None:
    wild = a_topic(registry, A, "EV/+/x")
    a_topic(registry, A, "EV/1/x")
    assert refusal(lambda: a_service(registry, B, "S", ["EV/1/x"]))[0] == 400
    registry.ask_to_subscribe(B, wild.id)
    a_service(registry, B, "S", ["EV/1/x", "EV/+/x"])


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (a_draft(" ", ["t"]), "Not a valid name"),
        (a_draft("..", ["t"]), "Not a valid name"),
        (a_draft("S"), "At least an input or output topic is needed."),
        (a_draft("there", ["t"]), "A Service with name there already exists."),
        (a_draft("S", ["a/#/b"]), "Illegal placement of wildcard character '#' in given topic 'a/#/b'"),
        (a_draft("S", ["$x"]), "You cannot register topics starting with the character '$': '$x'"),
        (a_draft("x" * 51, ["t"]), {"name": "Longer than maximum length 50."}),
    ],
)
def test_services_that_are_none(registry: Registry, draft: Any, words: Any) -> None:
    a_service(registry, A, "there", ["there"])
    before = registry.topics()
    assert refusal(lambda: registry.create_service(A, draft)) == (400, words)
    assert registry.topics() == before


def test_names_on_disk_do_not_collide(registry: Registry) -> None:
    made = [a_service(registry, A, name, [""]) for name in ("My Svc (1)", "My_Svc_1", "my svc 1")]
    assert [service.folder for service in made] == ["My_Svc_1", "My_Svc_1-2", "my_svc_1-3"]


def test_row38_only_the_owner_changes_and_deletes(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["t"])
    registry.subscribe_to_service(B, service.id)
    assert refusal(lambda: registry.update_service(B, service.id, a_draft("S", [""]))) == (
        401,
        "Not permitted",
    )
    assert refusal(lambda: registry.delete_service(B, service.id)) == (401, "Not permitted")
    assert refusal(lambda: registry.owned_service(B, service.id)) == (401, "Not permitted")
    assert refusal(lambda: registry.delete_service(A, 99)) == (400, "No such service found")
    assert refusal(lambda: registry.update_service(A, 99, a_draft("S", [""]))) == (
        400,
        "No such service found",
    )
    registry.delete_service(A, service.id)
    assert names(registry.topics()) == ["t"]


def test_subscribing_gives_sub_on_all_outputs(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["in"], ["o1", "o2"])
    found, active = registry.subscribe_to_service(B, service.id)
    assert (found, active) == (service, True)
    assert [right.topic.name for right in registry.user_topics(B, "sub")] == ["o1", "o2"]
    assert refusal(lambda: registry.subscribe_to_service(B, service.id)) == (
        404,
        "User b already subscribed to service S",
    )
    assert refusal(lambda: registry.subscribe_to_service(B, 99)) == (404, "Invalid service")
    assert [each.username for each in registry.subscribers(service.id)] == ["a", "b"]
    assert [each.name for each in registry.services_subscribed(B)] == ["S"]


def test_a_service_that_needs_approval_waits_for_its_owner(registry: Registry) -> None:
    service = registry.create_service(A, a_draft("S", [], ["o"]), visibility=Visibility.APPROVAL)
    assert registry.subscribe_to_service(B, service.id)[1] is False
    assert registry.user_topics(B) == ()
    registry.grant_service(A, service.id, "b")
    assert registry.is_subscriber(B, service.id)
    assert [right.topic.name for right in registry.user_topics(B)] == ["o"]


def test_a_topic_that_needs_approval_is_not_opened_by_an_open_service(registry: Registry) -> None:
    topic = a_topic(registry, A, "o", visibility=Visibility.APPROVAL)
    service = a_service(registry, A, "S", [], ["o"])
    registry.subscribe_to_service(B, service.id)
    assert not registry.user_topic(B, topic.id).can_sub
    assert registry.user_topic(B, topic.id).asked


def test_who_is_put_out_of_a_service_loses_its_outputs(registry: Registry) -> None:
    one = a_service(registry, A, "one", [], ["only", "both"])
    two = a_service(registry, A, "two", [], ["both"])
    for service in (one, two):
        registry.subscribe_to_service(B, service.id)
    registry.revoke_service(A, one.id, "b")
    assert [right.topic.name for right in registry.user_topics(B)] == ["both"]
    assert registry.subscribe_to_service(B, one.id)[1] is False
    with pytest.raises(Refusal, match="stays"):
        registry.revoke_service(A, one.id, "a")


def test_subscribers_are_offered_outputs_that_come_later(registry: Registry) -> None:
    service = a_service(registry, A, "S", [], ["o1"])
    registry.subscribe_to_service(B, service.id)
    registry.update_service(A, service.id, a_draft("S", [], ["o1", "o2"]))
    assert [right.topic.name for right in registry.user_topics(B)] == ["o1", "o2"]


def test_a_subscriber_duplicates_and_owns_the_copy(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["in"], ["out"])
    copy = a_draft("S2", [""], [""])
    assert refusal(lambda: registry.duplicate_service(B, service.id, copy)) == (401, "Not permitted")
    registry.subscribe_to_service(B, service.id)
    assert registry.duplicate_service(B, service.id, copy).owner == "b"
    assert refusal(lambda: registry.duplicate_service(B, 99, copy)) == (400, "No such service found")


def test_a_services_token_follows_its_topics_and_goes_with_it(registry: Registry) -> None:
    service = a_service(registry, A, "S", ["in"], ["out"])
    token, secret = registry.create_token(A, TokenKind.SERVICE, "S", service_id=service.id)
    assert (token.scope.subscribe, token.scope.publish) == (("in",), ("out",))
    seen: list[Change] = []
    registry.listen(seen.append)
    registry.update_service(A, service.id, a_draft("S", ["in", "more"], ["out"]))
    assert seen[-1].tokens[0].scope.subscribe == ("in", "more")
    registry.delete_service(A, service.id)
    assert seen[-1].tokens_gone == (token.principal,)
    assert registry.find_token(secret) is None


def test_what_is_exported_can_be_imported_by_another(registry: Registry) -> None:
    a_service(registry, A, "one", ["z", "b"], ["m"])
    a_service(registry, A, "two", ["m"], ["q"])
    text = registry.export_services(A)
    assert list(json.loads(text)) == ["1", "2"]
    for service in registry.services_owned(A):
        registry.delete_service(A, service.id)
    for topic in registry.topics():
        registry.delete_topic(A, topic.id)
    made = registry.import_services(B, text.encode())
    assert [in_order(each) for each in made] == [(["z", "b"], ["m"]), (["m"], ["q"])]
    assert {each.owner for each in made} == {"b"}
    assert {topic.owner for topic in registry.topics()} == {"b"}


def a_file(**changes: Any) -> dict[str, Any]:
    topic = {"id": 7, "name": "t", "description": "", "topic_ontology": "float"}
    entry = {
        "id": 3,
        "name": "A",
        "description": "",
        "service_type": "Sensor",
        "service_ontology": "",
        "location": "",
        "owner": "somebody",
        "input_topics": [topic],
        "output_topics": [],
    }
    return {"1": {**entry, **changes}}


def import_it(registry: Registry, document: Any, user: int = A) -> Any:
    return registry.import_services(user, json.dumps(document).encode())


def test_import_says_what_is_taken(registry: Registry) -> None:
    import_it(registry, a_file())
    assert refusal(lambda: import_it(registry, a_file())) == (
        400,
        "Failed to import services and topics. Services with name [['A']] already exist. "
        "Please rename and try again.",
    )
    assert refusal(lambda: import_it(registry, a_file(), B)) == (
        400,
        "Failed to import services and topics. Services with name [['A']] already exist. "
        "Please rename and try again. Topics with name ['t'] already exist. "
        "Please rename  and try again.",
    )
    registry.ask_to_subscribe(B, 1)
    assert import_it(registry, a_file(name="B"), B)[0].owner == "b"


@pytest.mark.parametrize("key", sorted(a_file()["1"]))
def test_import_needs_every_key(registry: Registry, key: str) -> None:
    document = a_file()
    del document["1"][key]
    assert refusal(lambda: import_it(registry, document)) == (400, f"ERROR: '{key}'")


@pytest.mark.parametrize("key", ["name", "service_type"])
def test_import_needs_name_and_type(registry: Registry, key: str) -> None:
    assert refusal(lambda: import_it(registry, a_file(**{key: ""}))) == (
        400,
        "Service name and sevice type are required",
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b"[]",
        b'{"1": 2}',
        b'{"1": NaN}',
        b"[" * 100_000,
        b"\xff",
        b'{"1": {}, "1": {}}',
        b"1" * 5_000,
    ],
)
def test_row44_files_that_are_none_are_refused(registry: Registry, text: bytes) -> None:
    status, words = refusal(lambda: registry.import_services(A, text))
    assert status == 400
    assert words.startswith("invalid json: ")


def test_row44_a_file_is_imported_whole_or_not_at_all(registry: Registry) -> None:
    document = a_file()
    document["2"] = {**a_file()["1"], "name": "B", "input_topics": []}
    assert refusal(lambda: import_it(registry, document))[0] == 400
    assert registry.services() == ()
    assert registry.topics() == ()


def test_row44_a_file_is_bounded(tmp_path: Path) -> None:
    with a_registry(tmp_path, quotas=Quotas(import_services=2, import_bytes=5_000)) as registry:
        user = a_user(registry, "a")
        document = {str(number): {**a_file()["1"], "name": f"S{number}"} for number in range(3)}
        assert refusal(lambda: import_it(registry, document, user))[0] == 400
        assert refusal(lambda: registry.import_services(user, b" " * 5_001))[0] == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_row44_whatever_a_file_says_its_owner_is_who_imports(registry: Registry, data: st.DataObject) -> None:
    entry = a_file()["1"]
    for key in data.draw(st.lists(st.sampled_from(sorted(entry)), max_size=2)):
        entry[key] = data.draw(JSON)
    status, made = 400, ()
    try:
        made = registry.import_services(B, json.dumps({"1": entry}).encode())
    except Refusal as refused:
        status = refused.status
    assert status == 400
    assert {each.owner for each in made} <= {"b"}
    for each in made:
        registry.delete_service(B, each.id)
