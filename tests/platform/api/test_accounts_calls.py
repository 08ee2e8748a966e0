"""The calls about accounts, word by word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_stage import Site, headers

A = {"username": "a", "email": "a@example.org", "password": "secret of a"}
SHOWN = {
    "id": 1,
    "username": "a",
    "email": "a@example.org",
    "registered_on": "Tuesday, 25 November 2025 01:11AM",
    "confirmed": False,
    "confirmed_on": "Not yet Confirmed",
    "admin": False,
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def said(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()


@pytest.mark.parametrize("how", ["json", "data"])
def test_registering(site: Site, how: str) -> None:
    answer = site.http.post("/register", **{how: A})
    told = answer.json()
    assert answer.status_code == 201
    assert list(told) == ["status", "message", "data", "access_token"]
    assert (told["status"], told["message"]) == ("success", "Successfully registered.")
    assert list(told["data"].items()) == list(SHOWN.items())
    answer = site.http.get("/accounts/1", headers={"Authorization": f"Bearer {told['access_token']}"})
    assert said(answer) == (200, SHOWN)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"username": "a b"}, "Username a b is not valid."),
        ({"email": "nobody"}, "Email nobody is not valid."),
        ({"username": "admin"}, "Name admin is not permitted."),
        ({"username": "b"}, "A user with this email already exists."),
        ({"email": "b@example.org"}, "A user with this username already exists."),
        ({"email": None}, {"email": "This field is required."}),
        ({"password": ""}, {"password": "This field is required."}),
        ({"username": ["a"]}, {"username": "Not a valid string."}),
    ],
)
def test_registering_what_is_refused(site: Site, change: dict[str, Any], message: Any) -> None:
    site.http.post("/register", json=A)
    assert said(site.http.post("/register", json={**A, **change})) == (400, {"message": message})


@pytest.mark.parametrize("how", ["json", "data"])
@pytest.mark.parametrize(
    "who", [{"username": "a"}, {"username": "a@example.org"}, {"email": "a@example.org"}]
)
def test_logging_in(site: Site, who: dict[str, str], how: str) -> None:
    site.http.post("/register", json=A)
    answer = site.http.post("/login", **{how: {**who, "password": A["password"]}})
    told = answer.json()
    assert answer.status_code == 200
    assert list(told) == ["status", "message", "data", "access_token", "refresh_token"]
    assert (told["status"], told["message"], told["data"]) == ("success", "User authenticated.", SHOWN)


def test_a_script_cuts_the_token_out_of_the_text(site: Site) -> None:
    site.http.post("/register", json=A)
    text = site.http.post("/login", data=A, headers={"Authorization": "Bearer null"}).text
    token = text.split('"access_token": "')[1].split('", "refresh_token"')[0]
    assert site.http.get("/accounts/1", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert text == json.dumps(json.loads(text))


@pytest.mark.parametrize("change", [{"password": "x"}, {"username": "nobody"}, {"username": "x@y.org"}])
def test_logging_in_with_anything_wrong_is_one_answer(site: Site, change: dict[str, str]) -> None:
    site.http.post("/register", json=A)
    answer = site.http.post("/login", json={**A, **change})
    assert said(answer) == (401, {"message": "Invalid Credentials."})


def test_logging_in_without_a_password(site: Site) -> None:
    answer = site.http.post("/login", json={"username": "a"})
    assert said(answer) == (400, {"message": {"password": "This field is required."}})


def test_refreshing(site: Site) -> None:
    person = site.person("a")
    answer = site.http.post("/refresh", headers={"Authorization": f"Bearer {person._refresh}"})
    assert answer.status_code == 200
    assert list(answer.json()) == ["access_token"]
    words = "Token Signature verification failure. Only refresh tokens can access this endpoint "
    assert said(site.http.post("/refresh", headers=headers(person))) == (401, {"message": words})


def test_logging_out_ends_both_tokens(site: Site) -> None:
    person = site.person("a")
    old, refresh = headers(person), {"Authorization": f"Bearer {person._refresh}"}
    answer = site.http.post("/logout", headers=old, json={"refresh_token": person._refresh})
    assert said(answer) == (200, {"status": "success", "message": "User a successfully logged out."})
    for path, shown in (("/logout", old), ("/refresh", refresh)):
        assert said(site.http.post(path, headers=shown)) == (401, {"message": "Token has been revoked."})


def test_an_expired_token_says_so_and_the_client_goes_on(site: Site) -> None:
    person = site.person("a")
    site.wall.at += 901
    answer = site.http.get("/accounts/1", headers=headers(person))
    assert said(answer) == (401, {"message": "Token has expired.", "code": "TOKEN_EXPIRED"})
    assert person.account().username == "a"


def test_changing_an_account_needs_a_fresh_login_and_takes_either_field(site: Site) -> None:
    token = site.http.post("/register", json=A).json()["access_token"]
    stale = {"Authorization": f"Bearer {token}"}
    fresh = {"message": "Please update your login.", "code": "FRESH_TOKEN_REQUIRED"}
    for method in ("PUT", "DELETE"):
        assert said(site.http.request(method, "/accounts/1", headers=stale)) == (401, fresh)
    person = site.client()
    person.login("a", A["password"])
    assert person.change_account(email="b@example.org").email == "b@example.org"
    assert said(site.http.put("/accounts/1", headers=headers(person), data={"email": "x"})) == (
        400,
        {"message": "Email x is not valid."},
    )
    assert person.change_account(password="another").email == "b@example.org"
    assert site.client().login("b@example.org", "another").id == 1


def test_deleting_an_account_deletes_it(site: Site) -> None:
    person = site.person("a")
    answer = site.http.delete("/accounts/1", headers=headers(person))
    assert said(answer) == (200, "User Deleted")
    assert site.http.get("/accounts/1", headers=headers(person)).status_code == 404
    assert site.http.post("/login", json=A).status_code == 401


def test_others_accounts_are_not_allowed(site: Site) -> None:
    site.person("a")
    other = site.person("b")
    for method in ("GET", "PUT", "DELETE"):
        answer = site.http.request(method, "/accounts/1", headers=headers(other), json={"email": "c@d.org"})
        assert said(answer) == (403, {"message": "Not allowed"})


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "Missing Authorization Header"),
        (
            {"Authorization": "Basic YTpi"},
            "Token Signature verification failure. Bad Authorization header. Expected value 'Bearer <JWT>' ",
        ),
        ({"Authorization": "Bearer null"}, "Token Signature verification failure. Not enough segments "),
    ],
)
def test_calls_without_a_token(site: Site, header: dict[str, str], message: str) -> None:
    assert said(site.http.get("/topics", headers=header)) == (401, {"message": message})


def test_confirming_by_the_token_of_a_mail(tmp_path: Path) -> None:
    mails: list[str] = []

    class Mailer:
        def send(self, to: str, subject: str, text: str) -> None:
            mails.append(text)

    site = Site(tmp_path, mailer=Mailer())
    person = site.client()
    person.register("a", "a@example.org", A["password"])
    assert site.accounts._post is not None
    site.accounts._post.submit(int).result()
    assert said(site.http.post("/login", json=A)) == (401, {"message": "Please confirm your account first."})
    path = mails[0].split("https://platform.example.org")[1].split()[0]
    assert site.http.get(path + "x").status_code == 401
    page = site.http.get(path, headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/signin")
    assert site.http.get(path).json()["data"]["confirmed"] is True
    assert site.http.post("/login", json=A).status_code == 200
    site.close()


def test_a_personal_token_calls_as_its_user_within_its_scope(site: Site) -> None:
    person = site.person("a")
    reading = site.client(person.create_token("r", api="read").token)
    assert reading.who_am_i().username == "a"
    assert reading.my_topics() == []
    for method, path, code in (
        ("POST", "/topics", 403),
        ("GET", "/users/1/tokens", 403),
        ("PUT", "/accounts/1", 401),
        ("DELETE", "/accounts/1", 401),
    ):
        answer = site.http.request(method, path, headers=headers(reading), json={"topic_ontology": "x"})
        assert answer.status_code == code, path
    writing = site.client(person.create_token("w", api="write").token)
    writing.who_am_i()
    assert writing.create_topic("t").name == "t"
    assert site.http.post("/users/1/tokens", headers=headers(writing), json={"name": "x"}).status_code == 403
    person.revoke_token(person.tokens()[1].id)
    assert site.http.get("/topics", headers=headers(writing)).status_code == 401
    assert all(token.token == "" for token in person.tokens())


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({}, "name"),
        ({"name": " "}, "name"),
        ({"name": "t", "kind": "service"}, "kind"),
        ({"name": "t", "api": "all"}, "api"),
        ({"name": "t", "publish": ["a/#/b"]}, "publish"),
        ({"name": "t", "subscribe": "x"}, "subscribe"),
        ({"name": "t", "subscribe": ["$share/g/x"]}, "subscribe"),
        ({"name": "t", "subscribe": ["a\0"]}, "subscribe"),
        ({"name": "t", "expires_in_seconds": "soon"}, "expires_in_seconds"),
        ({"name": "t", "expires_in_seconds": 1.5}, "expires_in_seconds"),
    ],
)
def test_tokens_that_are_none(site: Site, wish: dict[str, Any], field: str) -> None:
    person = site.person("a")
    answer = site.http.post("/users/1/tokens", headers=headers(person), json=wish)
    assert answer.status_code == 400
    assert list(answer.json()["message"]) == [field]


def test_administrators_see_and_change_what_others_may_not(site: Site) -> None:
    admin, person = site.admin(), site.person("a")
    assert [user.username for user in admin.all_users()] == ["a", "admin"]
    for path in ("/admin/users", "/admin/audit"):
        assert said(site.http.get(path, headers=headers(person))) == (403, {"message": "Not allowed"})
    assert {entry.action for entry in admin.full_audit(actor="a")} == {"register", "login"}
    assert admin.set_admin("a", True).admin
    admin.set_admin("a", False)
    admin.delete_user("a")
    assert [user.username for user in admin.all_users()] == ["admin"]
    assert site.http.get("/accounts/1", headers=headers(admin)).status_code == 403
