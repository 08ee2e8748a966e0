"""Accounts: passwords, logins, tokens, back-off."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from accounts_stage import FAR, SECRET, bearer, the_accounts
from registry_stage import Wall, a_registry

from voltagora.platform.accounts.accounts import Accounts
from voltagora.platform.accounts.bearer import load_secret
from voltagora.platform.accounts.passwords import Passwords
from voltagora.platform.registry.entities import ADMIN_ID, ApiScope, Scope, TokenKind
from voltagora.platform.registry.refusals import Refusal

CANARY = "canary-password-81923"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def accounts(tmp_path: Path, wall: Wall) -> Iterator[Accounts]:
    with a_registry(tmp_path, wall=wall) as registry:
        made = the_accounts(registry, wall)
        made.register("a", "a@example.org", "secret of a")
        yield made
        made.close()


def refusal(attempt: Any) -> tuple[int, Any, Any]:
    with pytest.raises(Refusal) as refused:
        attempt()
    return refused.value.status, refused.value.message, refused.value.code


def test_the_administrator_of_the_first_start_gets_a_password_once(accounts: Accounts) -> None:
    password = accounts.first_start()
    assert password is not None
    assert accounts.first_start() is None
    assert accounts.login("admin", password, FAR)[0].id == ADMIN_ID


def test_login_by_name_or_address_gives_tokens_with_the_claims_of_the_contract(
    accounts: Accounts, wall: Wall
) -> None:
    for name in ("a", "a@example.org", "A@Example.ORG"):
        user, access, refresh = accounts.login(name, "secret of a", FAR)
        assert user.username == "a"
    said = jwt.decode(access, SECRET, algorithms=["HS256"], options={"verify_exp": False})
    now = int(wall.at)
    assert said == {
        "exp": now + 900,
        "iat": now,
        "nbf": now,
        "jti": said["jti"],
        "identity": 1,
        "type": "access",
        "fresh": True,
        "user_claims": {"username": "a", "email": "a@example.org", "admin": False},
    }
    told = jwt.decode(refresh, SECRET, algorithms=["HS256"], options={"verify_exp": False})
    assert set(told) == {"exp", "iat", "nbf", "jti", "identity", "type"}
    assert (told["type"], told["exp"]) == ("refresh", now + 30 * 86_400)
    assert accounts.caller(bearer(access)).fresh


def test_only_login_gives_a_fresh_token(accounts: Accounts) -> None:
    _, registered = accounts.register("b", "b@example.org", "secret of b")
    _, _, refresh = accounts.login("a", "secret of a", FAR)
    again = accounts.refresh(bearer(refresh))
    for token in (registered, again):
        assert not accounts.caller(bearer(token)).fresh
        stale = (401, "Please update your login.", "FRESH_TOKEN_REQUIRED")
        assert refusal(lambda token=token: accounts.caller(bearer(token), fresh=True)) == stale


def test_logging_out_ends_both_tokens_and_no_other_login(accounts: Accounts) -> None:
    _, access, refresh = accounts.login("a", "secret of a", FAR)
    _, other, _ = accounts.login("a", "secret of a", FAR)
    accounts.logout(accounts.caller(bearer(access)), refresh)
    revoked = (401, "Token has been revoked.", None)
    assert refusal(lambda: accounts.caller(bearer(access))) == revoked
    assert refusal(lambda: accounts.refresh(bearer(refresh))) == revoked
    accounts.caller(bearer(other))


def test_row37_nobody_logs_another_out(accounts: Accounts) -> None:
    accounts.register("b", "b@example.org", "secret of b")
    _, mine, _ = accounts.login("a", "secret of a", FAR)
    _, _, theirs = accounts.login("b", "secret of b", FAR)
    assert refusal(lambda: accounts.logout(accounts.caller(bearer(mine)), theirs))[0] == 403
    accounts.refresh(bearer(theirs))


def test_tokens_end_by_themselves(accounts: Accounts, wall: Wall) -> None:
    _, access, refresh = accounts.login("a", "secret of a", FAR)
    wall.at += 899
    accounts.caller(bearer(access))
    wall.at += 1
    expired = (401, "Token has expired.", "TOKEN_EXPIRED")
    assert refusal(lambda: accounts.caller(bearer(access))) == expired
    accounts.refresh(bearer(refresh))
    wall.at += 30 * 86_400
    assert refusal(lambda: accounts.refresh(bearer(refresh))) == expired


def test_a_user_who_is_gone_is_not_found(accounts: Accounts) -> None:
    _, access, _ = accounts.login("a", "secret of a", FAR)
    accounts.registry.delete_user(1)
    assert refusal(lambda: accounts.caller(bearer(access)))[0] == 404


def test_a_new_password_ends_every_login(accounts: Accounts) -> None:
    _, access, refresh = accounts.login("a", "secret of a", FAR)
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
    accounts.change(1, None, "another")
    assert refusal(lambda: accounts.caller(bearer(access)))[0] == 401
    assert refusal(lambda: accounts.refresh(bearer(refresh)))[0] == 401
    assert accounts.entrance.enter("a", "secret of a", FAR) is None
    assert accounts.entrance.enter("a", "another", FAR) == "a"


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(head: dict[str, Any], body: Any, key: bytes = SECRET, name: str = "sha256") -> str:
    text = f"{b64(head)}.{b64(body)}"
    return f"{text}.{b64(hmac.new(key, text.encode(), name).digest())}"


def crafted(wall: Wall) -> dict[str, str]:
    now = int(wall.at)
    good = {
        "exp": now + 900,
        "iat": now,
        "nbf": now,
        "jti": "j",
        "identity": 1,
        "type": "access",
        "fresh": True,
    }
    head = {"alg": "HS256", "typ": "JWT"}
    return {
        "none": f"{b64({'alg': 'none'})}.{b64(good)}.",
        "None": f"{b64({'alg': 'None'})}.{b64(good)}.",
        "no signature": f"{b64(head)}.{b64(good)}.",
        "other key": signed(head, good, b"x" * 40),
        "empty key": signed(head, good, b""),
        "HS512": signed({"alg": "HS512"}, good, name="sha512"),
        "RS256": signed({"alg": "RS256"}, good),
        "kid climbs": signed({**head, "kid": "../../../../dev/null"}, good, b""),
        "jku": signed({**head, "jku": "http://127.0.0.1:1/keys"}, good, b"x" * 40),
        "embedded key": signed({**head, "jwk": {"kty": "oct", "k": "eA"}}, good, b"x"),
        "wrong audience": signed(head, {**good, "aud": "elsewhere"}),
        "unknown jti": signed(head, good),
        "identity is text": signed(head, {**good, "identity": "1"}),
        "identity is true": signed(head, {**good, "identity": True}),
        "no identity": signed(head, {key: each for key, each in good.items() if key != "identity"}),
        "no expiry": signed(head, {key: each for key, each in good.items() if key != "exp"}),
        "expiry is a list": signed(head, {**good, "exp": []}),
        "expired": signed(head, {**good, "exp": now}),
        "not yet": signed(head, {**good, "nbf": now + 100}),
        "refresh": signed(head, {**good, "type": "refresh"}),
        "confirm": signed(head, {**good, "type": "confirm"}),
        "a list": signed(head, []),
        "no text": signed(head, b"\xff\xfe"),
        "deep": signed(head, b"[" * 5_000),
        "long": "x" * 100_000,
        "critical": signed({**head, "crit": ["x"], "x": 1}, good),
        "words": "a.b.c",
        "null": "null",
    }


CRAFTED = sorted(crafted(Wall()))


@pytest.mark.parametrize("name", CRAFTED)
def test_row37_crafted_tokens_are_refused(accounts: Accounts, wall: Wall, name: str) -> None:
    status, words, _ = refusal(lambda: accounts.caller(bearer(crafted(wall)[name])))
    assert status == 401
    assert (
        words == "Token has expired."
        if name == "expired"
        else words.startswith(("Token Signature verification failure. ", "Token has been revoked."))
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, "Missing Authorization Header"),
        ("", "Missing Authorization Header"),
        *(
            (each, "Token Signature verification failure. Bad Authorization header. "
             "Expected value 'Bearer <JWT>' ")
            for each in ("Basic YTpi", "Bearer", "Bearer a b", "bearer x")
        ),
    ],
)  # fmt: skip
def test_headers_that_hold_no_token(accounts: Accounts, header: str | None, words: str) -> None:
    assert refusal(lambda: accounts.caller(header)) == (401, words, None)


def test_each_kind_of_token_opens_its_own_door_only(accounts: Accounts) -> None:
    _, access, refresh = accounts.login("a", "secret of a", FAR)
    failure = "Token Signature verification failure. Only {} tokens can access this endpoint "
    assert refusal(lambda: accounts.refresh(bearer(access)))[1] == failure.format("refresh")
    assert refusal(lambda: accounts.caller(bearer(refresh)))[1] == failure.format("access")


@pytest.mark.parametrize(
    ("api", "reads", "writes"),
    [(ApiScope.NONE, False, False), (ApiScope.READ, True, False), (ApiScope.WRITE, True, True)],
)
def test_a_token_calls_as_far_as_its_scope_reaches_and_is_never_fresh(
    accounts: Accounts, api: ApiScope, reads: bool, writes: bool
) -> None:
    token, secret = accounts.registry.create_token(1, TokenKind.PERSONAL, "t", scope=Scope(api=api))
    for write, allowed in ((False, reads), (True, writes)):
        if allowed:
            assert accounts.caller(bearer(secret), write=write).user.username == "a"
        else:
            assert refusal(lambda write=write: accounts.caller(bearer(secret), write=write))[0] == 403
    assert refusal(lambda: accounts.caller(bearer(secret), fresh=True))[2] == "FRESH_TOKEN_REQUIRED"
    accounts.registry.revoke_token(1, token.id)
    assert refusal(lambda: accounts.caller(bearer(secret)))[0] == 401


def test_a_token_stands_in_for_the_password_on_the_way_to_the_broker_only(accounts: Accounts) -> None:
    token, secret = accounts.registry.create_token(1, TokenKind.DEVICE, "t")
    for _ in range(2):
        assert accounts.entrance.enter("a", secret, FAR) == token.principal == "a+1"
        assert accounts.entrance.enter("a+1", secret, FAR) == "a+1"
        assert accounts.entrance.enter("b", secret, FAR) is None
        assert accounts.entrance.check("a", secret, FAR) is None
        assert accounts.entrance.check("a+1", secret, FAR) is None
    accounts.registry.revoke_token(1, token.id)
    assert accounts.entrance.enter("a", secret, "192.0.2.8") is None


def test_a_token_that_has_expired_opens_nothing(accounts: Accounts, wall: Wall) -> None:
    _, secret = accounts.registry.create_token(1, TokenKind.DEVICE, "t", expires_at=int(wall.at) + 10)
    assert accounts.entrance.enter("a", secret, FAR) == "a+1"
    wall.at += 10
    assert accounts.entrance.enter("a", secret, FAR) is None


class Counting(Passwords):
    checks = 0

    def is_right(self, password: str, stored: str | None) -> bool:
        Counting.checks += 1
        return super().is_right(password, stored)


def test_a_password_that_was_right_costs_no_hash_for_a_minute(accounts: Accounts, wall: Wall) -> None:
    accounts.entrance._passwords = Counting()
    Counting.checks = 0
    for _ in range(5):
        assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
    assert Counting.checks == 1
    wall.at += 61
    accounts.entrance.enter("a", "secret of a", FAR)
    assert Counting.checks == 2


def test_a_password_that_changes_while_it_is_looked_at_is_not_remembered(accounts: Accounts) -> None:
    class Slow(Passwords):
        def is_right(self, password: str, stored: str | None) -> bool:
            right = super().is_right(password, stored)
            accounts.entrance._passwords = accounts.passwords
            accounts.change(1, None, "another")
            return right

    accounts.entrance._passwords = Slow()
    accounts.entrance.enter("a", "secret of a", FAR)
    assert accounts.entrance.enter("a", "secret of a", FAR) is None


def test_row45_ten_failures_of_an_account_end_its_tries_for_a_minute(accounts: Accounts, wall: Wall) -> None:
    for number in range(10):
        assert accounts.entrance.enter("a", f"guess {number}", f"192.0.2.{number}") is None
    assert accounts.entrance.enter("a", "secret of a", FAR) is None
    assert refusal(lambda: accounts.login("a", "secret of a", FAR)) == (401, "Invalid Credentials.", None)
    wall.at += 60
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"


def test_row45_a_success_resets(accounts: Accounts) -> None:
    for _ in range(5):
        for number in range(9):
            accounts.entrance.enter("a", f"guess {number}", "192.0.2.9")
        assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
        break
    for number in range(9):
        accounts.entrance.enter("a", f"guess {number}", FAR)
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"


def test_row45_fifty_failures_of_an_address_end_its_tries(accounts: Accounts) -> None:
    for number in range(50):
        accounts.entrance.enter(f"user{number}", "guess", FAR)
    assert accounts.entrance.enter("a", "secret of a", FAR) is None
    assert accounts.entrance.enter("a", "secret of a", "192.0.2.8") == "a"


def test_row45_guessing_from_elsewhere_does_not_lock_the_owner_or_a_device_out(accounts: Accounts) -> None:
    _, secret = accounts.registry.create_token(1, TokenKind.DEVICE, "t")
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
    for number in range(60):
        accounts.entrance.enter("a", f"guess {number}", "192.0.2.66")
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
    assert accounts.entrance.enter("a", secret, "192.0.2.66") == "a+1"


def test_row45_a_thousand_tries_look_at_few_passwords(accounts: Accounts) -> None:
    accounts.entrance._passwords = Counting()
    Counting.checks = 0
    for number in range(1_000):
        accounts.entrance.enter("a", f"guess {number}", f"10.0.{number // 250}.{number % 250}")
    assert Counting.checks == 10


def test_row45_unknown_users_cost_a_hash_too_and_get_the_same_answer(accounts: Accounts) -> None:
    accounts.entrance._passwords = Counting()
    Counting.checks = 0
    answers = {
        refusal(lambda name=name: accounts.login(name, "guess", FAR)) for name in ("a", "nobody", "x@y.org")
    }
    assert answers == {(401, "Invalid Credentials.", None)}
    assert Counting.checks == 3


@pytest.mark.parametrize("name", ["\0", "\ud800", "a\0", "x" * 100_000, "' OR 1=1 --", "a+1", ""])
@pytest.mark.parametrize("password", ["", "\0", "\ud800", "y" * 100_000])
def test_names_and_passwords_that_nobody_has(accounts: Accounts, name: str, password: str) -> None:
    assert refusal(lambda: accounts.login(name, password, FAR))[0] == 401
    assert accounts.entrance.enter(name, password, FAR) is None


@pytest.mark.parametrize("password", ["", "x" * 1_025])
def test_passwords_that_are_not_taken(accounts: Accounts, password: str) -> None:
    assert refusal(lambda: accounts.register("b", "b@example.org", password))[0] == 400
    assert refusal(lambda: accounts.change(1, None, password))[0] == 400


def test_row46_no_secret_is_on_disk_or_in_what_was_done(accounts: Accounts, tmp_path: Path) -> None:
    accounts.register("b", "b@example.org", CANARY)
    accounts.login("b", CANARY, FAR)
    refusal(lambda: accounts.login("b", f"{CANARY}-wrong", FAR))
    _, secret = accounts.registry.create_token(2, TokenKind.DEVICE, "t")
    accounts.entrance.enter("b", secret, FAR)
    accounts.registry._database.close()
    on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"b@example.org" in on_disk
    for each in (CANARY, secret):
        assert each.encode() not in on_disk
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in on_disk
    assert accounts.registry.password_hash(2).startswith("$argon2id$")  # type: ignore[union-attr]
    assert CANARY not in accounts.registry.export_services(2)


def test_passwords_are_hashed_anew_when_the_costs_change(accounts: Accounts) -> None:
    before = accounts.registry.password_hash(1)
    accounts.entrance._passwords = Passwords()
    assert accounts.entrance.enter("a", "secret of a", FAR) == "a"
    after = accounts.registry.password_hash(1)
    assert before != after
    assert "m=19456,t=2,p=1" in str(after)


def test_the_secret_of_the_tokens_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "tokens.key"
    first = load_secret(path)
    assert len(first) == 48
    assert load_secret(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_weak_secret_is_refused(tmp_path: Path) -> None:
    with a_registry(tmp_path) as registry, pytest.raises(ValueError, match="32 bytes"):
        Accounts(registry, b"short", wall=time.time)
