"""The calls about topics and rights, word by word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_stage import Site, headers

from voltagora.platform.client import PlatformClient
from voltagora.platform.client_calls import PlatformError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


@pytest.fixture
def a(site: Site) -> PlatformClient:
    return site.person("a")


@pytest.fixture
def b(site: Site, a: PlatformClient) -> PlatformClient:
    return site.person("b")


def said(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


T = {"id": 1, "name": "t", "description": "", "topic_ontology": "float"}
LACKS = "Missing required parameter in the JSON body or the post body or the query string"


@pytest.mark.parametrize("how", ["json", "data"])
def test_creating_a_topic(site: Site, a: PlatformClient, how: str) -> None:
    answer = site.http.post("/topics", headers=headers(a), **{how: {"name": "t", "topic_ontology": "float"}})
    assert answer.status_code == 201
    assert list(answer.json().items()) == list(T.items())


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"name": "t"}, {"topic_ontology": LACKS}),
        ({"name": "there", "topic_ontology": ""}, "A topic with name 'there' already exists."),
        (
            {"name": "$x", "topic_ontology": ""},
            "You cannot register topics starting with the character '$': '$x'",
        ),
        (
            {"name": "a/#/b", "topic_ontology": ""},
            "Illegal placement of wildcard character '#' in given topic 'a/#/b'",
        ),
        (
            {"name": "a/b+", "topic_ontology": ""},
            "1- Illegal placement of wildcard character '+' in given topic 'a/b+'",
        ),
        ({"name": "w/x", "topic_ontology": ""}, "Blocked by the following topics '['w/#']'."),
        ({"name": "t", "topic_ontology": "x" * 201}, {"topic_ontology": "Longer than maximum length 200."}),
        (
            {"name": "t", "topic_ontology": "x", "visibility": "no"},
            {"visibility": "Must be open or approval."},
        ),
    ],
)
def test_topics_that_are_refused(
    site: Site, a: PlatformClient, b: PlatformClient, wish: dict[str, str], message: Any
) -> None:
    b.create_topic("there")
    b.create_topic("w/#")
    assert said(site.http.post("/topics", headers=headers(a), json=wish)) == (400, {"message": message})


def test_finding_topics(a: PlatformClient) -> None:
    a.create_topic("EV/1", description="price", topic_ontology="float")
    a.create_topic("EV/2", description="soc", topic_ontology="string")
    assert [each.name for each in a.topics()] == ["EV/1", "EV/2"]
    assert [each.name for each in a.topics(name="ev", topic_ontology="str")] == ["EV/2"]
    assert [each.name for each in a.topics(term="PRICE")] == ["EV/1"]


def test_asking_for_a_topic_and_what_one_may(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    a.create_topic("t", topic_ontology="float")
    path = "/users/2/topics/1"
    assert said(site.http.get(path, headers=headers(b))) == (200, {**T, "can_sub": False, "can_pub": False})
    assert said(site.http.put(path, headers=headers(b))) == (201, T)
    assert said(site.http.get(path, headers=headers(b))) == (200, {**T, "can_sub": True, "can_pub": False})
    assert [right.name for right in b.my_topics("sub")] == ["t"]
    assert b.my_topics("pub") == []
    assert [(right.can_sub, right.can_pub) for right in a.my_topics()] == [(True, True)]
    gone = (404, {"message": "Ivalid user or topic does not exist"})
    for method in ("GET", "PUT", "DELETE"):
        for nobody in (99, 99_999_999_999_999_999_999):
            assert said(site.http.request(method, f"/users/2/topics/{nobody}", headers=headers(b))) == gone


def test_deleting_a_topic(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    a.create_topic("t")
    path = "/users/2/topics/1"
    assert said(site.http.delete(path, headers=headers(b))) == (401, {"message": "Not permitted"})
    b.ask_for_topic(1)
    refused = (401, {"message": "Not permitted, not topic owner"})
    assert said(site.http.delete(path, headers=headers(b))) == refused
    assert said(site.http.delete("/users/1/topics/1", headers=headers(a))) == (200, "Topic deleted")


def test_approval_granting_and_taking_back(a: PlatformClient, b: PlatformClient) -> None:
    topic = a.create_topic("t", visibility="approval")
    b.ask_for_topic(topic.id)
    assert not b.my_topic(topic.id).can_sub
    assert [(right.username, right.asked) for right in a.rights(topic.id)] == [("a", False), ("b", True)]
    a.grant(topic.id, "b", can_sub=True, can_pub=True)
    right = a.grant(topic.id, "b", can_sub=False)
    assert (right.can_sub, right.can_pub) == (False, True)
    a.revoke(topic.id, "b")
    assert b.my_topics() == []
    assert a.change_topic(topic.id, visibility="open", description="x").visibility == "open"
    assert a.topic(topic.id).owner == "a"
    with pytest.raises(PlatformError) as refused:
        a.grant(topic.id, "b")
    assert refused.value.status == 400
    for attempt in (lambda: a.grant(topic.id, "nobody", can_sub=True), lambda: a.revoke(99, "b")):
        with pytest.raises(PlatformError) as refused:
            attempt()
        assert refused.value.status == 404


def test_pick_lists(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    datatypes = site.http.get("/topics/ontology").json()["data"]
    assert datatypes == [
        *("ID", "anyURI", "boolean", "float", "langString", "nonNegativeInteger", "string", "unsignedInt")
    ]
    classes = site.http.get("/services/ontology").json()["data"]
    assert len(classes) == len(set(classes)) == 26
    assert {"Service", "SensorService", "PlugMeterService"} < set(classes)

    class Down:
        def datatypes(self) -> list[str]:
            raise ConnectionError

        service_classes = datatypes

    other = Site(tmp_path_factory.mktemp("down"), lists=Down())
    for path in ("/topics/ontology", "/services/ontology"):
        assert other.http.get(path).status_code == 400
    other.close()
