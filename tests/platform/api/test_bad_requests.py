"""Requests that are none, too long, too slow, from elsewhere; pages beside the calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from api_stage import Site, headers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse

from voltagora.platform.api.bodies import Bounded
from voltagora.platform.registry.entities import Quotas


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((JSON, each) for each in (b"{", b"[]", b"5", b"null", b"\xff", b"[" * 100_000, b'{"a":NaN}')),
        *((JSON, each) for each in (b'{"a":1,"a":2}', b'{"a":' + b"9" * 5_000 + b"}", b'"\\ud800"')),
        *((FORM, each) for each in (b"\xff", b"a=%ff", b"&".join([b"a=1"] * 3_000))),
        *((MULTIPART, each) for each in (b"", b"--x", b"--x\r\n\r\n", b"nothing")),
        ({"Content-Type": "multipart/form-data"}, b"x"),
        ({"Content-Type": "text/plain"}, b"hello"),
        ({}, b"hello"),
    ],
)
def test_row16_bodies_that_are_none_are_refused(site: Site, kind: dict[str, str], body: bytes) -> None:
    answer = site.http.post("/login", headers=kind, content=body)
    assert answer.status_code == 400, answer.text
    assert "message" in answer.json()


@pytest.mark.parametrize("path", ["/login", "/users/1/exportServices"])
def test_row48_bodies_that_are_too_long_are_not_read(site: Site, path: str) -> None:
    person = site.person("a")
    body = b"x" * (10 * 1024 * 1024 + 64 * 1024 + 1)
    answer = site.http.post(path, headers=headers(person), content=body)
    assert answer.status_code == 413
    for told in ("x", "-1", "99999999999999999999999999"):
        answer = site.http.post(path, headers={**headers(person), "Content-Length": told}, content=b"{}")
        assert answer.status_code == 413


def through(app: Any, pieces: list[bytes], *, hang: bool = False) -> tuple[int, int]:
    """Send a body in pieces and without a length; give the status and how many pieces were taken."""

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            taken.append(1)
            yield piece
        if hang:
            await asyncio.Event().wait()

    async def send() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://platform") as http:
            return (await http.post("/login", content=body(), headers=JSON)).status_code

    taken: list[int] = []
    return asyncio.run(send()), len(taken)


def test_row48_a_body_without_a_length_is_counted_while_it_comes(site: Site) -> None:
    status, taken = through(site.app, [b" " * 1024 * 1024] * 100)
    assert status == 413
    assert taken < 15


def test_row48_a_body_that_stands_still_times_out(tmp_path: Path) -> None:
    site = Site(tmp_path, idle_seconds=0.05)
    assert through(site.app, [b"{"], hang=True)[0] == 408
    site.close()


def test_row48_a_request_with_two_lengths_is_refused(site: Site) -> None:
    both = {"Content-Length": "2", "Transfer-Encoding": "chunked"}
    answer = site.http.post("/login", headers=both, content=b"{}")
    assert (answer.status_code, answer.headers["connection"]) == (400, "close")


def test_what_is_no_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(Bounded(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "//services", "/services/", "/services/-1", "/services/1.5", "/services/1%2f2"),
        *("/services/%00", "/%2e%2e/etc/passwd", "/users/1/topics/x", "/users/٣/topics", "/accounts/"),
    ],
)
def test_row48_paths_that_are_none(site: Site, path: str) -> None:
    person = site.person("a")
    answer = site.http.get(path, headers=headers(person))
    assert answer.status_code == 404
    assert answer.json() == {"message": "The requested URL was not found on the server."}


@pytest.mark.parametrize(("method", "path"), [("GET", "/login"), ("PUT", "/login"), ("DELETE", "/topics")])
def test_methods_that_are_none(site: Site, method: str, path: str) -> None:
    answer = site.http.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {"message": "The method is not allowed for the requested URL."}


def test_row42_any_origin_may_call_with_a_token_and_none_with_cookies(site: Site) -> None:
    asked = {
        "Origin": "http://elsewhere.example.org",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "authorization, content-type",
    }
    answer = site.http.options("/topics", headers=asked)
    assert answer.status_code == 200
    allowed = {each.strip().lower() for each in answer.headers["access-control-allow-headers"].split(",")}
    assert {"authorization", "content-type"} <= allowed
    real = site.http.get("/services", headers={"Origin": "http://elsewhere.example.org"})
    for each in (answer, real):
        assert each.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in each.headers


def test_row41_answers_are_not_guessed_at_and_not_kept(site: Site) -> None:
    for answer in (site.http.get("/services"), site.http.get("/topics")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"


def test_row37_a_token_in_the_address_is_no_token(site: Site) -> None:
    person = site.person("a")
    for name in ("token", "access_token", "authorization"):
        answer = site.http.get("/topics", params={name: person._access})
        assert answer.status_code == 401


def test_row46_no_answer_holds_a_hash_or_a_secret(site: Site) -> None:
    person = site.person("a")
    secret = person.create_token("t", kind="device").token
    person.create_topic("t")
    paths = ["/accounts/1", "/users/1/tokens", "/users/1/audit", "/users/1/exportServices", "/topics"]
    texts = [site.http.get(path, headers=headers(person)).text for path in paths]
    for text in texts:
        assert "argon2" not in text
        assert secret not in text
        assert "secret of a" not in text
    assert secret not in repr(person.tokens())


def test_row43_what_was_typed_comes_back_as_it_was(site: Site) -> None:
    person = site.person("a")
    for number, text in enumerate(("=1+1", "+1", "-1", "@x", "\tx", '"; rm -rf /', "<script>", "${x}")):
        wish = {"name": f"s{number}", "description": text, "output_topics": [{"name": f"t{number}"}]}
        site.http.post("/services", headers=headers(person), json=wish)
    told = json.loads(person.export_services())
    assert [each["description"] for each in told.values()][:3] == ["=1+1", "+1", "-1"]
    assert [each.description for each in person.services()] == [each["description"] for each in told.values()]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    *("username", "email", "password", "name", "description", "topic_ontology", "service_type"),
    *("service_ontology", "location", "input_topics", "output_topics", "visibility", "run_params"),
    *("serviceArgs", "refresh_token", "can_sub", "can_pub", "admin", "publish", "subscribe", "api"),
    *("expires_in_seconds", "kind", "topic", "acc", "routing_key", "permission", "resource", "client_id"),
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("fuzz"), quotas=Quotas(topics=10**6, services=10**6, tokens=10**6))
    made.person("a")
    yield made
    made.close()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_row48_no_request_is_answered_with_a_fault(fuzzed: Site, data: st.DataObject) -> None:
    """The transport raises what the application did not catch, so a 500 fails here by itself."""
    calls = fuzzed.app.openapi()["paths"]
    path = data.draw(st.sampled_from(sorted(calls)))
    method = data.draw(st.sampled_from(sorted(calls[path])))
    if method == "delete" and path.startswith(("/accounts", "/admin")):
        return
    ids = st.integers(0, 3) | st.integers(0, 10**30)
    words = st.text(max_size=20) | st.sampled_from(["a", "nobody"])
    filled = path.format(
        **{key: data.draw(ids) for key in "utsk"},
        username=httpx.URL("", params={"x": data.draw(words)}).query.decode()[2:],
        token="x",
        version=data.draw(ids),
        name="x",
    )
    body = data.draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8))
    query = data.draw(
        st.dictionaries(st.sampled_from(("name", "term", "type", "limit", "before")), st.text(max_size=9))
    )
    user = fuzzed.registry.find_user(username="a")
    assert user is not None
    token = fuzzed.accounts._access(user, "f", fresh=True)
    answer = fuzzed.http.request(
        method,
        filled,
        headers={"Authorization": f"Bearer {token}", **JSON},
        params=query,
        content=json.dumps(body),
    )
    assert answer.status_code < 500


# Pages.


async def pages(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse(f"page {scope['path']}")(scope, receive, send)


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = {"Accept": "application/json, text/plain, */*"}


@pytest.mark.parametrize(
    ("path", "accept", "page"),
    [
        *(("/topics", BROWSER, True), ("/services", BROWSER, True), ("/services/7", BROWSER, True)),
        *(("/topics/7", BROWSER, True), ("/services", SCRIPT, False), ("/services", {}, False)),
        *(("/topics", SCRIPT, False), ("/signin", BROWSER, True), ("/", BROWSER, True)),
        *(("/login", BROWSER, True), ("/anything/else", {}, True), ("/services/ontology", BROWSER, False)),
        ("/services", {**BROWSER, "Authorization": "Bearer x"}, False),
    ],
)
def test_pages_answer_what_is_no_call(tmp_path: Path, path: str, accept: dict[str, str], page: bool) -> None:
    site = Site(tmp_path, pages=pages)
    answer = site.http.get(path, headers=accept)
    assert (answer.text == f"page {path}") is page
    site.close()


def test_with_pages_a_wrong_method_of_a_call_is_still_refused(tmp_path: Path) -> None:
    site = Site(tmp_path, pages=pages)
    assert site.http.put("/login").status_code == 405
    assert site.http.post("/signin").text == "page /signin"
    site.close()


def test_a_compiled_page_is_served_with_its_deep_links(tmp_path: Path) -> None:
    gui = tmp_path / "gui"
    (gui / "static").mkdir(parents=True)
    (gui / "index.html").write_text("the page")
    (gui / "static" / "app.js").write_text("code")
    (tmp_path / "secret.txt").write_text("secret")
    site = Site(tmp_path, gui=gui)
    for path in ("/", "/signin", "/user/profile", "/services/management", "/login", "/static/none.js"):
        answer = site.http.get(path, headers=BROWSER)
        assert (answer.status_code, answer.text) == (200, "the page"), path
        assert answer.headers["content-type"].startswith("text/html")
    assert site.http.get("/static/app.js").text == "code"
    for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/static/%2e%2e/%2e%2e/secret.txt", "//etc/passwd"):
        assert "secret" not in site.http.get(path).text
        assert "root:" not in site.http.get(path).text
    assert site.http.get("/a%00b").status_code == 404
    assert site.http.post("/signin").status_code == 404
    assert site.http.get("/services", headers=SCRIPT).json() == []
    site.close()


def test_both_documents_tell_of_calls_that_are_there(site: Site) -> None:
    answer = site.http.get("/swagger-documentation")
    told = yaml.safe_load(answer.text)
    assert told["swagger"] == "2.0"
    open_api = site.http.get("/openapi.json").json()
    assert open_api["openapi"].startswith("3.")
    for path, calls in told["paths"].items():
        assert set(calls) <= set(open_api["paths"][path]), path
    used = set(json.dumps(told).split('"#/definitions/')[1:])
    assert {each.split('"')[0] for each in used} <= set(told["definitions"])
    assert "422" not in json.dumps(open_api)
    assert "HTTPValidationError" not in json.dumps(open_api)
    assert site.http.get("/health").json() == {"status": "ok"}
