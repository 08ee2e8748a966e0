"""A client for every call of the platform.

```python
with PlatformClient("http://127.0.0.1:8000") as platform:
    platform.login("alice", "a password")
    topic = platform.create_topic("house/temperature", topic_ontology="float")
    platform.grant(topic.id, "bob", can_sub=True)
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import httpx
import msgspec

from voltagora.domain.errors import VoltAgoraError
from voltagora.platform.client_calls import Calls, PlatformError
from voltagora.platform.client_types import (
    ApiScope,
    AuditEntry,
    Build,
    NewService,
    OwnedTopic,
    Right,
    Running,
    Service,
    Subscriber,
    Token,
    Topic,
    TopicRight,
    User,
    Visibility,
)


class PlatformClient(Calls):
    """Calls the platform as one user.

    An access token that has expired is replaced by means of the refresh token, once a call.

    Args:
        url: of the platform.
        token: a personal token in place of `login`.
        transport: in place of the network, for tests.
        seconds: how long a call may take; builds take long.
    """

    _user: User | None = None

    @property
    def user(self) -> User:
        """Who is logged in.

        Raises:
            VoltAgoraError: nobody.
        """
        if self._user is None:
            raise VoltAgoraError("nobody is logged in: call login() or who_am_i() first")
        return self._user

    # Accounts.

    def register(self, username: str, email: str, password: str) -> User:
        """Register a user and go on as that user; log in for what needs a fresh login."""
        told = self._json("POST", "/register", {"username": username, "email": email, "password": password})
        return self._enter(told)

    def login(self, name: str, password: str) -> User:
        """Log in by username or address of mail."""
        return self._enter(self._json("POST", "/login", {"username": name, "password": password}))

    def who_am_i(self) -> User:
        """Find out whose personal token this is."""
        self._user = self._get("/accounts/me", User)
        return self._user

    def logout(self) -> None:
        """End this login."""
        self._json("POST", "/logout", {"refresh_token": self._refresh})
        self._access = self._refresh = self._user = None

    def account(self) -> User:
        """Show one's own account."""
        return self._get(f"/accounts/{self.user.id}", User)

    def change_account(self, *, email: str | None = None, password: str | None = None) -> User:
        """Change one's address, password, or both."""
        return self._put(f"/accounts/{self.user.id}", {"email": email, "password": password}, User)

    def delete_account(self) -> None:
        """Delete one's account."""
        self._json("DELETE", f"/accounts/{self.user.id}")

    def confirm(self, token: str) -> None:
        """Confirm an address by the token of a mail."""
        self._json("GET", f"/accounts/confirm/{token}")

    # Topics and rights.

    def datatypes(self) -> list[str]:
        """List what may stand under `topic_ontology`."""
        return list(self._json("GET", "/topics/ontology")["data"])

    def topics(self, **parts: str) -> list[Topic]:
        """Find topics by parts of `name`, `description`, `topic_ontology`; `term` in any."""
        return self._get("/topics", list[Topic], parts)

    def create_topic(
        self,
        name: str = "",
        *,
        description: str = "",
        topic_ontology: str = "string",
        visibility: Visibility = "open",
    ) -> Topic:
        """Register a topic."""
        wish = {"name": name, "description": description, "topic_ontology": topic_ontology}
        return self._post("/topics", {**wish, "visibility": visibility}, Topic)

    def topic(self, topic_id: int) -> OwnedTopic:
        """Show a topic."""
        return self._get(f"/topics/{topic_id}", OwnedTopic)

    def change_topic(
        self,
        topic_id: int,
        *,
        description: str | None = None,
        topic_ontology: str | None = None,
        visibility: Visibility | None = None,
    ) -> OwnedTopic:
        """Change what is said of one's topic, or whom it lets in."""
        wish = {"description": description, "topic_ontology": topic_ontology, "visibility": visibility}
        return self._put(f"/topics/{topic_id}", wish, OwnedTopic)

    def delete_topic(self, topic_id: int) -> None:
        """Delete one's topic."""
        self._json("DELETE", f"/users/{self.user.id}/topics/{topic_id}")

    def my_topics(self, kind: str = "") -> list[TopicRight]:
        """List the topics one has a right to: `sub`, `pub`, or either."""
        return self._get(f"/users/{self.user.id}/topics", list[TopicRight], {"type": kind})

    def my_topic(self, topic_id: int) -> TopicRight:
        """Show one's right to a topic."""
        return self._get(f"/users/{self.user.id}/topics/{topic_id}", TopicRight)

    def ask_for_topic(self, topic_id: int) -> Topic:
        """Ask for the right to subscribe."""
        return self._put(f"/users/{self.user.id}/topics/{topic_id}", None, Topic)

    def rights(self, topic_id: int) -> list[Right]:
        """List who may do what with one's topic."""
        return self._get(f"/topics/{topic_id}/rights", list[Right])

    def grant(
        self, topic_id: int, username: str, *, can_sub: bool | None = None, can_pub: bool | None = None
    ) -> Right:
        """Grant (True), take back (False) or leave (None) each right to one's topic."""
        wish = {"can_sub": can_sub, "can_pub": can_pub}
        return self._put(f"/topics/{topic_id}/rights/{username}", wish, Right)

    def revoke(self, topic_id: int, username: str) -> Right:
        """Take all rights to one's topic back."""
        return self._read("DELETE", f"/topics/{topic_id}/rights/{username}", Right)

    # Services.

    def service_classes(self) -> list[str]:
        """List what may stand under `service_ontology`."""
        return list(self._json("GET", "/services/ontology")["data"])

    def services(self, **parts: str) -> list[Service]:
        """Find services by parts of `name`, `description`, `service_ontology`; `term` in any."""
        return self._get("/services", list[Service], parts)

    def create_service(self, wish: NewService) -> Service:
        """Register a service and those of its topics that are new."""
        return self._post("/services", msgspec.to_builtins(wish), Service)

    def service(self, service_id: int) -> Service:
        """Show a service with its subscribers."""
        return msgspec.convert(self._json("GET", f"/services/{service_id}")["data"], Service)

    def update_service(self, service_id: int, wish: NewService) -> Service:
        """Change one's service."""
        return self._put(f"/services/{service_id}", msgspec.to_builtins(wish), Service)

    def duplicate_service(self, service_id: int, wish: NewService) -> Service:
        """Make a service of one's own out of another, files included."""
        return self._post(f"/services/{service_id}", msgspec.to_builtins(wish), Service)

    def delete_service(self, service_id: int) -> None:
        """Delete one's service."""
        self._json("DELETE", f"/services/{service_id}")

    def my_services(self) -> list[Service]:
        """List the services one subscribes to."""
        return self._get(f"/users/{self.user.id}/services", list[Service])

    def owned_services(self) -> list[Service]:
        """List one's own services."""
        return self._get(f"/users/{self.user.id}/services/ownership", list[Service])

    def my_service(self, service_id: int) -> Service:
        """Show a service and whether one subscribes to it."""
        return self._get(self._path(service_id), Service)

    def ask_for_service(self, service_id: int) -> Service:
        """Ask for a service."""
        return self._put(self._path(service_id), None, Service)

    def subscribers(self, service_id: int) -> list[Subscriber]:
        """List who subscribes to one's service and who waits."""
        return self._get(f"/services/{service_id}/subscribers", list[Subscriber])

    def grant_service(self, service_id: int, username: str) -> Subscriber:
        """Let a user into one's service."""
        return self._put(f"/services/{service_id}/subscribers/{username}", None, Subscriber)

    def revoke_service(self, service_id: int, username: str) -> Subscriber:
        """Put a user out of one's service."""
        return self._read("DELETE", f"/services/{service_id}/subscribers/{username}", Subscriber)

    def set_visibility(self, service_id: int, visibility: Visibility) -> Service:
        """Say whether one's service lets everybody in."""
        return self._put(f"/services/{service_id}/visibility", {"visibility": visibility}, Service)

    def export_services(self) -> str:
        """Write one's services to the text of a file."""
        return self._call("GET", f"/users/{self.user.id}/exportServices").text

    def import_services(self, text: str | bytes) -> None:
        """Register all services of a file, or none."""
        raw = text.encode() if isinstance(text, str) else text
        files = {"services_import_file": ("services.json", raw, "application/json")}
        self._call("POST", f"/users/{self.user.id}/exportServices", files=files)

    # What services do.

    def upload(self, service_id: int, name: str, content: bytes | BinaryIO) -> None:
        """Put a file, or the files of an archive, into one's service's folder."""
        files = {"service_file": (name, content, "application/octet-stream")}
        self._call("POST", f"{self._path(service_id)}/uploads", files=files)

    def files(self, service_id: int) -> list[str]:
        """List what was uploaded."""
        return self._get(f"{self._path(service_id)}/files", list[str])

    def remove_file(self, service_id: int, name: str) -> None:
        """Remove one uploaded file."""
        self._json("DELETE", f"{self._path(service_id)}/files/{name}")

    def build(self, service_id: int, *, nearest_python: bool = False, nearest_pins: bool = False) -> None:
        """Build what was uploaded; by choice with the nearest Python and later versions of pins."""
        wish = {"nearest_python": nearest_python, "nearest_pins": nearest_pins}
        self._json("POST", f"{self._path(service_id)}/dockerImage", wish)

    def builds(self, service_id: int) -> list[Build]:
        """List the builds that are kept, the newest first."""
        return self._get(f"{self._path(service_id)}/builds", list[Build])

    def roll_back(self, service_id: int, version: int) -> None:
        """Let the next start take another build."""
        self._json("PUT", f"{self._path(service_id)}/builds/{version}")

    def start(
        self,
        service_id: int,
        password: str,
        run_params: str = "",
        *,
        instance: int = 1,
        restart: str = "never",
    ) -> None:
        """Start one's service; the account's password is asked once more."""
        wish = {"password": password, "run_params": run_params, "instance": instance}
        self._json("POST", f"{self._path(service_id)}/status", {**wish, "restart": restart})

    def is_running(self, service_id: int) -> bool:
        """Say whether one's service runs."""
        return bool(self._json("GET", f"{self._path(service_id)}/status"))

    def run(self, service_id: int) -> Running:
        """Say what one's service does now."""
        return self._get(f"{self._path(service_id)}/run", Running)

    def stop(self, service_id: int, *, instance: int | None = None) -> None:
        """Stop one's service, or one of its instances."""
        self._call("DELETE", f"{self._path(service_id)}/status", query={"instance": instance})

    def log(self, service_id: int) -> str:
        """Get one's service's log."""
        return self._call("GET", f"{self._path(service_id)}/logFile").text

    def build_log(self, service_id: int) -> str:
        """Get what the last build said."""
        return self._call("GET", f"{self._path(service_id)}/buildLog").text

    @contextmanager
    def follow(self, service_id: int, *, instance: int = 1) -> Iterator[Iterator[str]]:
        """Hear what an instance prints, line by line: `with platform.follow(1) as lines: ...`."""
        with self._stream(f"{self._path(service_id)}/logStream", {"instance": instance}) as answer:
            yield (each.removeprefix("data: ") for each in answer.iter_lines() if each.startswith("data: "))

    # Tokens, and who did what.

    def tokens(self) -> list[Token]:
        """List one's tokens, without their secrets."""
        return self._get(f"/users/{self.user.id}/tokens", list[Token])

    def create_token(
        self,
        name: str,
        *,
        kind: str = "personal",
        publish: Sequence[str] | None = None,
        subscribe: Sequence[str] | None = None,
        api: ApiScope = "none",
        expires_in_seconds: int | None = None,
    ) -> Token:
        """Make a token; its secret is in `token` this once."""
        wish: dict[str, Any] = {"name": name, "kind": kind, "api": api}
        wish |= {"publish": publish, "subscribe": subscribe, "expires_in_seconds": expires_in_seconds}
        return self._post(f"/users/{self.user.id}/tokens", wish, Token)

    def revoke_token(self, token_id: int) -> None:
        """End a token; its connections end at once."""
        self._json("DELETE", f"/users/{self.user.id}/tokens/{token_id}")

    def audit(self, *, limit: int = 200, before: int | None = None) -> list[AuditEntry]:
        """List what one did, newest first."""
        wish = {"limit": limit, "before": before}
        return self._get(f"/users/{self.user.id}/audit", list[AuditEntry], wish)

    # For administrators.

    def all_users(self) -> list[User]:
        """List all users."""
        return self._get("/admin/users", list[User])

    def set_admin(self, username: str, admin: bool) -> User:
        """Make somebody an administrator, or no longer one."""
        return self._put(f"/admin/users/{username}", {"admin": admin}, User)

    def delete_user(self, username: str) -> None:
        """Delete somebody's account."""
        self._json("DELETE", f"/admin/users/{username}")

    def full_audit(self, *, actor: str = "", limit: int = 200, before: int | None = None) -> list[AuditEntry]:
        """List what was done, newest first."""
        return self._get("/admin/audit", list[AuditEntry], {"actor": actor, "limit": limit, "before": before})

    # For brokers on the same machine, and whoever watches over the platform.

    def broker_call(self, path: str, **fields: str | int) -> httpx.Response:
        """Ask as a broker does: `auth`, `devtoken`, `devtoken/auth`, `acl`, `superuser`, `rabbitmq/...`."""
        return self._http.post(f"/mqtt/{path}", json=fields)

    def device_token(self, username: str, password: str) -> str:
        """Make a device token as a broker does.

        Raises:
            PlatformError: 403, the password is not right.
        """
        answer = self.broker_call("devtoken", username=username, password=password)
        if answer.status_code != 200:
            raise PlatformError(answer.status_code, "the username or the password is not right")
        return str(answer.json())

    def healthy(self) -> bool:
        """Say whether the platform answers."""
        return bool(self._json("GET", "/health")["status"] == "ok")

    def _path(self, service_id: int) -> str:
        return f"/users/{self.user.id}/services/{service_id}"

    def _enter(self, told: Mapping[str, Any]) -> User:
        self._access, self._refresh = told["access_token"], told.get("refresh_token")
        self._user = msgspec.convert(told["data"], User)
        return self._user
