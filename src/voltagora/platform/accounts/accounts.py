"""Accounts as people use them: sign up, log in, stay logged in, log out, confirm an address."""

from __future__ import annotations

import logging
import secrets
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from voltagora.platform.accounts.bearer import (
    ACCESS_SECONDS,
    CONFIRM_SECONDS,
    REFRESH_SECONDS,
    Bearer,
    bearer_of,
    unreadable,
)
from voltagora.platform.accounts.entrance import Entrance
from voltagora.platform.accounts.mail import Mailer
from voltagora.platform.accounts.passwords import MOST_BYTES, Passwords
from voltagora.platform.registry import names
from voltagora.platform.registry.entities import ApiScope, Token, User
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.registry.registry import Registry

INVALID: Final = "Invalid Credentials."
NOT_CONFIRMED: Final = "Please confirm your account first."

_log = logging.getLogger(__name__)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls the REST API.

    Attributes:
        user: whose call it is.
        fresh: whether the password was given in this login.
        family: the login; empty with a token.
        token: the personal or device token in place of a login.
    """

    user: User
    fresh: bool = False
    family: str = ""
    token: Token | None = None


class Accounts:
    """Everything about who somebody is.

    Args:
        registry: knows the users.
        secret: of the tokens, see `bearer.load_secret`.
        passwords: how passwords are hashed.
        mailer: sends confirmations; with one, users who did not confirm their address stay outside.
        address: of the platform, for links in mails.
        wall: gives the time, seconds since 1970.
        monotonic: gives the time for the back-off.
    """

    def __init__(
        self,
        registry: Registry,
        secret: bytes,
        *,
        passwords: Passwords | None = None,
        mailer: Mailer | None = None,
        address: str = "http://127.0.0.1:8000",
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.registry = registry
        self.passwords = passwords or Passwords()
        self.entrance = Entrance(
            registry, self.passwords, must_confirm=mailer is not None, monotonic=monotonic
        )
        self._bearer = Bearer(secret, wall)
        self._mailer = mailer
        self._address = address
        self._monotonic = monotonic
        self._mailed: dict[int, float] = {}
        self._post = ThreadPoolExecutor(1, "mail") if mailer is not None else None

    def close(self) -> None:
        """Finish what is being mailed and listen no longer."""
        self.entrance.close()
        if self._post is not None:
            self._post.shutdown()

    def first_start(self, username: str = "admin") -> str | None:
        """Make the administrator if there is none; give the password, to be shown this once."""
        password = secrets.token_urlsafe(15)
        made = self.registry.ensure_admin(self.passwords.hash(password), username)
        return password if made else None

    # Signing up and in.

    def register(self, username: str, email: str, password: str) -> tuple[User, str]:
        """Register a user; give the user and an access token.

        Raises:
            Refusal: 400 with the words of the contract.
        """
        check_password(password)
        names.check_username(username)
        user = self.registry.register_user(username, email, self.passwords.hash(password))
        self._ask_to_confirm(user)
        return user, self._access(user, str(uuid.uuid4()), fresh=False)

    def login(self, name: str, password: str, address: str) -> tuple[User, str, str]:
        """Log a user in by username or address of mail; give the user, an access and a refresh token.

        Raises:
            Refusal: 401, always the same whatever was wrong.
        """
        by_email = self.registry.find_user(email=name) if "@" in name else None
        username = by_email.username if by_email is not None else name
        user = self.entrance.check(username, password, address)
        if user is None:
            self.registry.note("", "login_failed", f"user {username[:80]}", address)
            raise Refusal(401, INVALID)
        self.refuse_unconfirmed(user)
        family = str(uuid.uuid4())
        access = self._access(user, family, fresh=True)
        refresh, said = self._bearer.issue(user, "refresh", REFRESH_SECONDS)
        self.registry.remember_login(said.jti, family, user.id, said.exp)
        self.registry.note(user.username, "login", f"user {user.username}", address)
        return user, access, refresh

    def refresh(self, header: str | None) -> str:
        """Give a new access token for a refresh token.

        Raises:
            Refusal: 401; 404, the user is gone.
        """
        said = self._bearer.read(bearer_of(header), "refresh")
        family = self._good(said.jti)
        return self._access(self._user(said.identity), family, fresh=False)

    def logout(self, caller: Caller, refresh_token: str = "") -> None:
        """End a login with all its tokens, and the one that a refresh token of the same user belongs to.

        Raises:
            Refusal: 401, the refresh token is none.
        """
        families = {caller.family}
        if refresh_token:
            said = self._bearer.read(refresh_token, "refresh")
            if said.identity != caller.user.id:
                raise Refusal(403, "Not allowed")
            families.add(self.registry.family_of_login(said.jti) or "")
        for family in families - {""}:
            self.registry.end_login(family)
        self.registry.note(caller.user.username, "logout", f"user {caller.user.username}")

    def caller(self, header: str | None, *, fresh: bool = False, write: bool = True) -> Caller:
        """Give who calls, by an access token or by a personal or device token.

        Args:
            header: `Authorization`.
            fresh: only a login in which the password was given will do.
            write: whether the call changes anything.

        Raises:
            Refusal: 401; 403, a token's scope does not reach; 404, the user is gone.
        """
        text = bearer_of(header)
        token = self.registry.find_token(text)
        if token is not None:
            return self._token_caller(token, fresh=fresh, write=write)
        said = self._bearer.read(text, "access")
        user = self._user(said.identity)
        family = self._good(said.jti)
        if fresh and not said.fresh:
            raise Refusal(401, "Please update your login.", code="FRESH_TOKEN_REQUIRED")
        self.refuse_unconfirmed(user)
        return Caller(user=user, fresh=said.fresh, family=family)

    def _token_caller(self, token: Token, *, fresh: bool, write: bool) -> Caller:
        user = self._user(token.user_id)
        self.refuse_unconfirmed(user)
        if fresh:
            raise Refusal(401, "Please update your login.", code="FRESH_TOKEN_REQUIRED")
        if token.scope.api is ApiScope.NONE or (write and token.scope.api is not ApiScope.WRITE):
            raise Refusal(403, "Not allowed")
        return Caller(user=user, token=token)

    def _access(self, user: User, family: str, *, fresh: bool) -> str:
        text, said = self._bearer.issue(user, "access", ACCESS_SECONDS, fresh=fresh)
        self.registry.remember_login(said.jti, family, user.id, said.exp)
        return text

    def _good(self, jti: str) -> str:
        family = self.registry.family_of_login(jti) if names.printable(jti) else None
        if family is None:
            raise Refusal(401, "Token has been revoked.")
        return family

    def _user(self, user_id: int) -> User:
        user = self.registry.find_user(user_id) if 0 < user_id < 2**31 else None
        if user is None:
            raise Refusal(404, "User not found.")
        return user

    # Changing and confirming.

    def change(self, user_id: int, email: str | None, password: str | None) -> User:
        """Change a user's address or password, or both.

        Raises:
            Refusal: 400 with the words of the contract; 404.
        """
        hashed = None
        if password is not None:
            check_password(password)
            hashed = self.passwords.hash(password)
        user = self.registry.change_user(user_id, email=email, password_hash=hashed)
        if email is not None and user.confirmed_at is None:
            self._ask_to_confirm(user)
        return user

    def confirm(self, text: str) -> User:
        """Take a token out of a mail as the proof that a user answers at the address.

        Raises:
            Refusal: 401, it is none or too old, or the address is another by now; 404.
        """
        said = self._bearer.read(text, "confirm")
        user = self._user(said.identity)
        if user.email != said.email:
            raise unreadable("The address has changed since")
        return self.registry.confirm_user(user.id)

    def refuse_unconfirmed(self, user: User) -> None:
        """Where mail is set up, let only those in who confirmed their address; remind the others.

        Raises:
            Refusal: 401, not confirmed.
        """
        if self._mailer is not None and user.confirmed_at is None:
            self._ask_to_confirm(user)
            raise Refusal(401, NOT_CONFIRMED)

    def _ask_to_confirm(self, user: User) -> None:
        """Once a minute at most; a mail that could not be sent is no reason to refuse anything."""
        now = self._monotonic()
        if self._post is None or self._mailed.get(user.id, now - 61) > now - 60:
            return
        self._mailed = {who: at for who, at in self._mailed.items() if at > now - 60} | {user.id: now}
        text, _ = self._bearer.issue(user, "confirm", CONFIRM_SECONDS)
        words = (
            f"Hello {user.username},\n\n"
            f"please confirm your account by opening\n\n"
            f"{self._address}/accounts/confirm/{text}\n\n"
            f"If you did not register, do nothing.\n"
        )
        self._post.submit(self._send, user, words)

    def _send(self, user: User, words: str) -> None:
        assert self._mailer is not None
        try:
            self._mailer.send(user.email, "Confirm your account", words)
        except OSError as error:
            _log.warning("mail to user %s could not be sent: %s", user.username, type(error).__name__)


def check_password(password: str) -> None:
    """Refuse an empty or endless password.

    Raises:
        Refusal: 400 by field.
    """
    if not password:
        raise Refusal(400, {"password": "This field is required."})
    if len(password.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise Refusal(400, {"password": f"Longer than maximum length {MOST_BYTES}."})
