"""Row 38: every operation of the API by everybody, against an expectation made by hand.

The list of operations comes from the OpenAPI document, so a call that is added without an expectation
fails here.
"""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from api_stage import Site, headers

from voltagora.platform.client import PlatformClient
from voltagora.platform.client_types import NewService, NewTopic

WHO = ("owner", "granted", "stranger", "anonymous", "admin")
"""`owner` has the account, the topic and the service that the path names; `granted` may read both."""

# What each of them is answered, in that order. Where the path names a user, it is the owner.
EXPECTED: dict[tuple[str, str], tuple[int, int, int, int, int]] = {
    # Open to all.
    ("POST", "/register"): (201, 201, 201, 201, 201),
    ("POST", "/login"): (200, 200, 200, 200, 200),
    ("GET", "/accounts/confirm/{token}"): (401, 401, 401, 401, 401),
    ("GET", "/topics/ontology"): (200, 200, 200, 200, 200),
    ("GET", "/services/ontology"): (200, 200, 200, 200, 200),
    ("GET", "/services"): (200, 200, 200, 200, 200),
    ("GET", "/health"): (200, 200, 200, 200, 200),
    # Whoever is logged in.
    ("POST", "/refresh"): (401, 401, 401, 401, 401),  # an access token is no refresh token
    ("POST", "/logout"): (200, 200, 200, 401, 200),
    ("GET", "/accounts/me"): (200, 200, 200, 401, 200),
    ("GET", "/topics"): (200, 200, 200, 401, 200),
    ("POST", "/topics"): (201, 201, 201, 401, 201),
    ("GET", "/topics/{t}"): (200, 200, 200, 401, 200),
    ("POST", "/services"): (201, 201, 201, 401, 201),
    ("GET", "/services/{s}"): (200, 200, 200, 401, 200),
    # Subscribers of the service.
    ("POST", "/services/{s}"): (201, 201, 401, 401, 401),
    # The owner of the topic or service, and administrators who keep order.
    ("PUT", "/topics/{t}"): (200, 401, 401, 401, 200),
    ("GET", "/topics/{t}/rights"): (200, 401, 401, 401, 200),
    ("PUT", "/topics/{t}/rights/{username}"): (200, 401, 401, 401, 200),
    ("DELETE", "/topics/{t}/rights/{username}"): (200, 401, 401, 401, 200),
    ("PUT", "/services/{s}"): (200, 401, 401, 401, 200),
    ("DELETE", "/services/{s}"): (200, 401, 401, 401, 200),
    ("PUT", "/services/{s}/visibility"): (200, 401, 401, 401, 200),
    ("PUT", "/services/{s}/subscribers/{username}"): (200, 401, 401, 401, 200),
    ("DELETE", "/services/{s}/subscribers/{username}"): (200, 401, 401, 401, 200),
    ("GET", "/services/{s}/subscribers"): (200, 401, 401, 401, 401),
    # Whoever the path names; not even administrators.
    **{
        (method, path): (code, 403, 403, 401, 403)
        for method, path, code in (
            ("GET", "/accounts/{u}", 200),
            ("PUT", "/accounts/{u}", 200),
            ("DELETE", "/accounts/{u}", 200),
            ("GET", "/users/{u}/topics", 200),
            ("GET", "/users/{u}/topics/{t}", 200),
            ("PUT", "/users/{u}/topics/{t}", 201),
            ("DELETE", "/users/{u}/topics/{t}", 401),  # a service uses it
            ("GET", "/users/{u}/services", 200),
            ("GET", "/users/{u}/services/ownership", 200),
            ("GET", "/users/{u}/services/{s}", 200),
            ("PUT", "/users/{u}/services/{s}", 404),  # already a subscriber
            ("GET", "/users/{u}/exportServices", 200),
            ("POST", "/users/{u}/exportServices", 400),  # no file
            ("POST", "/users/{u}/services/{s}/uploads", 400),  # no file
            ("POST", "/users/{u}/services/{s}/dockerImage", 201),
            ("GET", "/users/{u}/services/{s}/status", 200),
            ("POST", "/users/{u}/services/{s}/status", 400),  # runs already
            ("DELETE", "/users/{u}/services/{s}/status", 200),
            ("GET", "/users/{u}/services/{s}/run", 200),
            ("GET", "/users/{u}/services/{s}/builds", 200),
            ("PUT", "/users/{u}/services/{s}/builds/{version}", 200),
            ("GET", "/users/{u}/services/{s}/buildLog", 200),
            ("GET", "/users/{u}/services/{s}/logStream", 200),
            ("GET", "/users/{u}/services/{s}/files", 200),
            ("DELETE", "/users/{u}/services/{s}/files/{name}", 200),
            ("GET", "/users/{u}/services/{s}/logFile", 200),
            ("GET", "/users/{u}/tokens", 200),
            ("POST", "/users/{u}/tokens", 201),
            ("DELETE", "/users/{u}/tokens/{k}", 200),
            ("GET", "/users/{u}/audit", 200),
        )
    },
    # Administrators.
    ("GET", "/admin/users"): (403, 403, 403, 401, 200),
    ("GET", "/admin/audit"): (403, 403, 403, 401, 200),
    ("PUT", "/admin/users/{username}"): (403, 403, 403, 401, 200),
    ("DELETE", "/admin/users/{username}"): (403, 403, 403, 401, 200),
    # Brokers: the tests stand on the same machine. Nobody's token changes anything.
    ("POST", "/mqtt/auth"): (200, 200, 200, 200, 200),
    ("POST", "/mqtt/devtoken"): (200, 200, 200, 200, 200),
    ("POST", "/mqtt/devtoken/auth"): (200, 200, 200, 200, 200),
    ("POST", "/mqtt/acl"): (200, 200, 200, 200, 200),
    ("POST", "/mqtt/superuser"): (403, 403, 403, 403, 403),
    **{
        ("POST", f"/mqtt/rabbitmq/{each}"): (200, 200, 200, 200, 200)
        for each in ("user", "vhost", "resource", "topic")
    },
}

BODY: dict[str, Any] = {
    "username": "owner",
    "password": "secret of owner",
    "email": "new@example.org",
    "name": "new",
    "topic_ontology": "float",
    "visibility": "open",
    "can_sub": True,
    "admin": False,
    "topic": "t",
    "acc": 3,
    "output_topics": [{"name": "fresh"}],
}


class Scene:
    """An owner with a topic, a service that runs, and a token; the others."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        owner = self.site.person("owner")
        self.people: dict[str, PlatformClient] = {
            "owner": owner,
            "granted": self.site.person("granted"),
            "stranger": self.site.person("stranger"),
            "admin": self.site.admin(),
            "anonymous": self.site.client(),
        }
        self.site.person("somebody")
        owner.create_topic("t")
        owner.create_service(NewService(name="s", input_topics=(NewTopic(name="t"),)))
        owner.create_token("k")
        owner.grant(1, "granted", can_sub=True)
        self.people["granted"].ask_for_service(1)
        owner.upload(1, "Dockerfile", b"FROM python:3.11")
        owner.build(1)
        owner.start(1, "secret of owner")

        self._database = folder / "registry.db"
        self._kept = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(self._database)) as live:
            live.backup(self._kept)
        self._ran = copy.deepcopy(
            (self.site.runner.files_of, self.site.runner.built, self.site.runner.running)
        )

    def begin_anew(self) -> None:
        """Put everything back to where it was."""
        with closing(sqlite3.connect(self._database)) as live:
            self._kept.backup(live)
        runner = self.site.runner
        runner.files_of, runner.built, runner.running = copy.deepcopy(self._ran)
        self.site.rights.close()
        self.site.rights.__init__(self.site.registry, self.site.accounts.entrance.enter)  # type: ignore[misc]

    def close(self) -> None:
        self._kept.close()
        self.site.close()

    def ask(self, who: str, method: str, path: str) -> int:
        filled = path.format(u=1, t=1, s=1, k=1, username="somebody", token="x", version=1, name="Dockerfile")
        body = dict(BODY)
        if path == "/register":
            body["username"] = "new"
        if path.startswith("/accounts"):
            body = {"email": "new@example.org"}
        person = self.people[who]
        shown = headers(person) if who != "anonymous" else {}
        # A body that is no form, so that the calls that take a file answer that there is none.
        answer = self.site.http.request(method, filled, headers=shown, json=body if method != "GET" else None)
        return answer.status_code


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("scene"))
    yield made
    made.close()


def test_row38_every_operation_has_an_expectation(scene: Scene) -> None:
    document = scene.site.app.openapi()
    told = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert told == set(EXPECTED)


@pytest.mark.parametrize(("method", "path"), sorted(EXPECTED))
def test_row38_everybody_is_answered_as_expected(scene: Scene, method: str, path: str) -> None:
    found = []
    for who in WHO:
        scene.begin_anew()
        found.append(scene.ask(who, method, path))
    assert tuple(found) == EXPECTED[method, path]
