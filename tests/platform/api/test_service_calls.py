"""The calls about services and their runs, word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_stage import Site, headers

from voltagora.platform.client import PlatformClient
from voltagora.platform.client_types import NewService, NewTopic


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


def a_topic(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "description": "", "topic_ontology": "float"}


IN = {"name": "in", "topic_ontology": "float"}
OUT = {"name": "out", "topic_ontology": "float"}
WISH = {"name": "A", "service_type": "Processor", "input_topics": [IN], "output_topics": [OUT]}
PLAIN = {
    "id": 1,
    "name": "A",
    "description": "",
    "service_type": "Processor",
    "service_ontology": "",
    "location": "",
    "owner": "a",
}
EXTENDED = {**PLAIN, "input_topics": [a_topic(1, "in")], "output_topics": [a_topic(2, "out")]}
MANAGED = {**EXTENDED, "service_image_built": False, "service_is_running": False}


def make(site: Site, who: PlatformClient, **changes: Any) -> httpx.Response:
    return site.http.post("/services", headers=headers(who), json={**WISH, **changes})


def test_creating_a_service(site: Site, a: PlatformClient) -> None:
    answer = make(site, a)
    assert answer.status_code == 201
    assert list(answer.json().items()) == list(EXTENDED.items())


def test_creating_a_service_from_a_form(site: Site, a: PlatformClient) -> None:
    form = {**WISH, "input_topics": json.dumps([IN]), "output_topics": json.dumps(OUT)}
    assert said(site.http.post("/services", headers=headers(a), data=form)) == (201, EXTENDED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, {"name": "This field is required."}),
        ({"name": " "}, "Not a valid name"),
        ({"name": "there", "input_topics": []}, "A Service with name there already exists."),
        ({"input_topics": [], "output_topics": None}, "At least an input or output topic is needed."),
        ({"input_topics": [{"name": "taken"}]}, "User a not permitted to use topic taken."),
        ({"input_topics": "x"}, {"input_topics": "Not a valid list."}),
        ({"input_topics": 5}, {"input_topics": "Not a valid list of objects."}),
        ({"input_topics": ["x"]}, {"input_topics": "Not a valid list of objects."}),
        ({"input_topics": [{"name": []}]}, {"input_topics": "Not a valid list of topics."}),
        ({"description": "x" * 201}, {"description": "Longer than maximum length 200."}),
    ],
)
def test_services_that_are_refused(
    site: Site, a: PlatformClient, b: PlatformClient, change: dict[str, Any], message: Any
) -> None:
    b.create_service(NewService(name="there", input_topics=(NewTopic(name="taken"),)))
    assert said(make(site, a, **change)) == (400, {"message": message})


def test_finding_services_is_open_and_a_null_token_is_ignored(site: Site, a: PlatformClient) -> None:
    make(site, a)
    for shown in ({}, {"Authorization": "Bearer null"}):
        assert said(site.http.get("/services", headers=shown)) == (200, [MANAGED])
    assert site.http.get("/services", params={"name": "b"}).json() == []
    assert site.http.get("/services", params={"term": "a", "name": "a"}).json() == [MANAGED]


def test_showing_one_service(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    make(site, a)
    answer = site.http.get("/services/1", headers=headers(b))
    assert said(answer) == (200, {"data": {**EXTENDED, "subscribers": ["a"]}})
    assert said(site.http.get("/services/9", headers=headers(b))) == (404, {"message": "Invalid Service."})
    path = "/users/2/services/1"
    assert said(site.http.get(path, headers=headers(b))) == (200, {**MANAGED, "subscriber": False})
    gone = (404, {"message": "Bad luck. No such service."})
    assert said(site.http.get("/users/2/services/9", headers=headers(b))) == gone


def test_changing_and_deleting_is_for_the_owner(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    make(site, a)
    refused, unknown = (401, {"message": "Not permitted"}), (400, {"message": "No such service found"})
    for method in ("PUT", "DELETE"):
        assert said(site.http.request(method, "/services/1", headers=headers(b), json=WISH)) == refused
        assert said(site.http.request(method, "/services/9", headers=headers(b), json=WISH)) == unknown
    answer = site.http.put(
        "/services/1", headers=headers(a), json={**WISH, "description": "new", "owner": "b"}
    )
    assert said(answer) == (200, {**EXTENDED, "description": "new"})
    assert said(site.http.delete("/services/1", headers=headers(a))) == (200, "Service deleted")
    assert site.runner.removed == ["A"]
    assert [topic.name for topic in a.topics()] == ["in", "out"]


def test_subscribing_to_a_service(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    make(site, a)
    path = "/users/2/services/1"
    assert said(site.http.put(path, headers=headers(b))) == (201, {**EXTENDED, "subscriber": True})
    again = (404, "User b already subscribed to service A")
    assert said(site.http.put(path, headers=headers(b))) == again
    unknown = (404, {"message": "Invalid service"})
    assert said(site.http.put("/users/2/services/9", headers=headers(b))) == unknown
    assert said(site.http.get("/users/2/services", headers=headers(b))) == (200, [PLAIN])
    assert said(site.http.get("/users/2/services/ownership", headers=headers(b))) == (200, [])
    assert said(site.http.get("/users/1/services/ownership", headers=headers(a))) == (200, [MANAGED])
    assert [right.name for right in b.my_topics()] == ["out"]


def test_duplicating_takes_the_files_along(site: Site, a: PlatformClient, b: PlatformClient) -> None:
    make(site, a)
    a.upload(1, "main.py", b"print()")
    wish = {"name": "B", "input_topics": [{}], "topic_ontology": "x"}
    refused = (401, {"message": "Not permitted"})
    assert said(site.http.post("/services/1", headers=headers(b), json=wish)) == refused
    b.ask_for_service(1)
    made = b.duplicate_service(1, NewService(name="B", output_topics=(NewTopic(),)))
    assert made.owner == "b"
    assert site.runner.files_of[made.id] == {"main.py": b"print()"}
    unknown = (400, {"message": "No such service found"})
    assert said(site.http.post("/services/9", headers=headers(b), json=wish)) == unknown


def test_the_owner_lets_in_and_puts_out(a: PlatformClient, b: PlatformClient) -> None:
    service = a.create_service(NewService(name="A", output_topics=(NewTopic(name="out"),)))
    a.set_visibility(service.id, "approval")
    assert not b.ask_for_service(service.id).subscriber
    assert [(each.username, each.asked) for each in a.subscribers(service.id)] == [("a", False), ("b", True)]
    assert a.grant_service(service.id, "b").active
    assert b.my_service(service.id).subscriber
    a.revoke_service(service.id, "b")
    assert b.my_topics() == []


# What services do.

S = "/users/1/services/1"


def test_from_upload_to_log(site: Site, a: PlatformClient) -> None:
    make(site, a)
    shown = headers(a)
    file = {"service_file": ("Dockerfile", b"FROM python:3.11")}
    early = (400, {"message": "Please upload service files and build image!"})
    start = {"password": "secret of a", "run_params": "{}"}
    assert said(site.http.post(f"{S}/status", headers=shown, json=start)) == early
    none = "Could not find a log file for service: A. Please run at least once this service"
    assert said(site.http.get(f"{S}/logFile", headers=shown)) == (400, {"message": none})
    missing = (400, {"message": "Cannot locate specified Dockerfile: Dockerfile"})
    assert said(site.http.post(f"{S}/dockerImage", headers=shown)) == missing
    assert said(site.http.post(f"{S}/uploads", headers=shown, files=file)) == (201, 1)
    assert said(site.http.post(f"{S}/dockerImage", headers=shown)) == (201, 1)
    assert said(site.http.get(f"{S}/status", headers=shown)) == (200, False)
    assert said(site.http.post(f"{S}/status", headers=shown, data=start)) == (200, 1)
    assert said(site.http.get(f"{S}/status", headers=shown)) == (200, True)
    assert a.run(1).ready
    assert a.services()[0].service_is_running
    log = site.http.get(f"{S}/logFile", headers=shown)
    assert log.headers["content-type"].startswith("text/plain")
    assert log.headers["content-disposition"] == 'attachment; filename="A.log"'
    assert log.headers["x-content-type-options"] == "nosniff"
    assert log.text == "started <b>\n"
    running = (400, {"message": "Service already running"})
    assert said(site.http.post(f"{S}/status", headers=shown, json=start)) == running
    assert said(site.http.delete(f"{S}/status", headers=shown)) == (200, 1)
    stopped = (400, {"message": "Could not stop service, please check logfiles"})
    assert said(site.http.delete(f"{S}/status", headers=shown)) == stopped
    assert not a.run(1).running
    done = [entry.action for entry in a.audit()]
    assert done[:4] == ["stop", "start", "build", "upload"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"password": "secret of a", "run_params": ' {"x": 1} '}, ' {"x": 1} '),
        ({"password": "secret of a"}, ""),
    ],
)
def test_run_params_are_handed_on_as_typed(
    site: Site, a: PlatformClient, body: dict[str, str], expected: str
) -> None:
    make(site, a)
    site.runner.built.add(1)
    assert said(site.http.post(f"{S}/status", headers=headers(a), json=body)) == (200, 1)
    assert site.runner.running[1] == expected


@pytest.mark.parametrize("arguments", ['--p hidden {"x": 1}', '-p hidden {"x": 1}', 'hidden {"x": 1}'])
def test_one_client_writes_password_and_params_in_one_line(site: Site, arguments: str) -> None:
    a = site.client()
    a.register("a", "a@example.org", "hidden")
    make(site, a)
    site.runner.built.add(1)
    answer = site.http.post(f"{S}/status", headers=headers(a), data={"serviceArgs": arguments})
    assert said(answer) == (200, 1)
    assert site.runner.running[1] == '{"x": 1}'


def test_a_start_needs_the_accounts_password_and_no_token_will_do(site: Site, a: PlatformClient) -> None:
    make(site, a)
    site.runner.built.add(1)
    for password in ("wrong", a.create_token("t", api="write").token):
        answer = site.http.post(f"{S}/status", headers=headers(a), json={"password": password})
        assert said(answer) == (401, {"message": "Invalid Credentials"})
    answer = site.http.post(f"{S}/status", headers=headers(a))
    assert said(answer) == (400, {"message": {"password": "This field is required."}})
    assert site.runner.running == {}


CALLS = [
    *(("POST", "uploads"), ("POST", "dockerImage"), ("POST", "status"), ("GET", "status")),
    *(("DELETE", "status"), ("GET", "logFile"), ("GET", "run"), ("GET", "builds"), ("PUT", "builds/1")),
    *(("GET", "buildLog"), ("GET", "logStream"), ("GET", "files"), ("DELETE", "files/Dockerfile")),
]


@pytest.mark.parametrize(("method", "call"), CALLS)
def test_row38_upload_build_run_and_log_are_for_the_owner(
    site: Site, a: PlatformClient, b: PlatformClient, method: str, call: str
) -> None:
    make(site, a)
    b.ask_for_service(1)
    site.runner.built.add(1)
    body = {"password": "secret of b"}
    answer = site.http.request(method, f"/users/2/services/1/{call}", headers=headers(b), json=body)
    assert said(answer) == (401, {"message": "Not permitted"})
    answer = site.http.request(method, f"/users/1/services/1/{call}", headers=headers(b), json=body)
    assert said(answer) == (403, {"message": "Not allowed"})
    unknown = "No such service exists" if call == "logFile" else "Bad luck. No such service."
    answer = site.http.request(method, f"/users/2/services/9/{call}", headers=headers(b), json=body)
    assert answer.json() == {"message": unknown}
    assert answer.status_code == (400 if call == "logFile" else 404)
    assert site.runner.files_of == {}
    assert site.runner.running == {}


def test_instances_builds_files_and_live_logs(site: Site, a: PlatformClient) -> None:
    make(site, a)
    a.upload(1, "Dockerfile", b"FROM python:3.11")
    a.upload(1, "main.py", b"print()")
    assert a.files(1) == ["Dockerfile", "main.py"]
    a.remove_file(1, "main.py")
    assert a.files(1) == ["Dockerfile"]
    a.build(1, nearest_python=True)
    assert site.runner.options == {"nearest_python": True, "nearest_pins": False}
    assert [(build.version, build.current) for build in a.builds(1)] == [(1, True)]
    a.roll_back(1, 1)
    assert a.build_log(1) == "built\n"
    a.start(1, "secret of a", instance=2, restart="on-failure")
    assert site.runner.options == {"instance": 2, "restart": "on-failure"}
    assert [run.state for run in a.run(1).instances] == ["running"]
    with a.follow(1) as lines:
        assert list(lines) == ["one", "two\ufffd\ufffddata: forged"]
    a.stop(1, instance=2)
    for field, value in (("instance", 0), ("instance", "x"), ("restart", "maybe")):
        body = {"password": "secret of a", field: value}
        answer = site.http.post(f"{S}/status", headers=headers(a), json=body)
        assert (answer.status_code, list(answer.json()["message"])) == (400, [field])
    assert [entry.action for entry in a.audit()][:4] == ["stop", "start", "roll_back", "build"]


@pytest.mark.parametrize(
    "files",
    [None, {"other": ("x", b"x")}, {"service_file": ("", b"x")}],
)
def test_uploads_without_a_file(site: Site, a: PlatformClient, files: Any) -> None:
    make(site, a)
    answer = site.http.post(f"{S}/uploads", headers=headers(a), files=files)
    assert said(answer) == (400, {"message": {"service_file": "This field is required."}})


# Files of services.


@pytest.mark.parametrize("field", ["services_import_file", "service_import_file"])
@pytest.mark.parametrize("path", ["/users/2/exportServices", "/users/2/services/1/exportServices"])
def test_exporting_and_importing(
    site: Site, a: PlatformClient, b: PlatformClient, path: str, field: str
) -> None:
    make(site, a)
    answer = site.http.get("/users/1/exportServices", headers=headers(a))
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"] == "attachment; filename=services_export.txt"
    assert answer.json() == {"1": EXTENDED}
    for topic in (1, 2):
        a.grant(topic, "b", can_sub=True, can_pub=True)
    file = {field: ("services.txt", answer.content)}
    taken = (
        "Failed to import services and topics. Services with name [['A']] already exist. "
        "Please rename and try again."
    )
    assert said(site.http.post(path, headers=headers(b), files=file)) == (400, {"message": taken})
    a.delete_service(1)
    assert said(site.http.post(path, headers=headers(b), files=file)) == (200, "Services created")
    assert b.owned_services()[0].owner == "b"
    none = (400, {"message": {"services_import_file": "This field is required."}})
    assert said(site.http.post(path, headers=headers(b))) == none
