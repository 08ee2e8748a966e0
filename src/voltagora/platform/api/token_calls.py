"""Calls about tokens and about who did what; and those of administrators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Query

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api import schemas
from voltagora.platform.api.account_calls import delete_user
from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import MOST_ID, Callers, Id
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes
from voltagora.platform.registry.entities import ApiScope, AuditEntry, Scope, Token, TokenKind
from voltagora.platform.registry.refusals import Refusal, missing
from voltagora.platform.registry.shapes import user_json

_TEXTS = {"type": "array", "items": {"type": "string"}}


def token_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(tags=["tokens"])
    registry, failures = parts.registry, failing(400, 401, 403, 404)

    @calls.get("/users/{u:int}/tokens", response_model=list[schemas.Token], responses=failures)
    def tokens(u: Id, caller: Caller = Depends(callers.person_of_path)) -> Reply:
        """List one's tokens, without their secrets."""
        return Reply([_token_json(token) for token in registry.tokens(u)])

    @calls.post(
        "/users/{u:int}/tokens",
        status_code=201,
        response_model=schemas.NewToken,
        responses=failures,
        openapi_extra=takes(
            name_=str, kind=str, publish=_TEXTS, subscribe=_TEXTS, api=str, expires_in_seconds=int
        ),
    )
    def create(
        u: Id, caller: Caller = Depends(callers.person_of_path), body: Given = Depends(given)
    ) -> Reply:
        """Make a token; its secret is shown this once."""
        (name,) = body.required("name")
        kind, api = body.text("kind") or "personal", body.text("api") or "none"
        if kind not in ("personal", "device"):
            raise Refusal(400, {"kind": "Must be personal or device."})
        if api not in tuple(ApiScope):
            raise Refusal(400, {"api": "Must be none, read or write."})
        seconds = body.number("expires_in_seconds")
        scope = Scope(publish=body.texts("publish"), subscribe=body.texts("subscribe"), api=ApiScope(api))
        expires_at = None if seconds is None else registry.now() + seconds
        made, secret = registry.create_token(u, TokenKind(kind), name, scope=scope, expires_at=expires_at)
        return Reply({**_token_json(made), "token": secret}, 201)

    @calls.delete("/users/{u:int}/tokens/{k:int}", response_model=str, responses=failures)
    def revoke(u: Id, k: Id, caller: Caller = Depends(callers.person_of_path)) -> Reply:
        """End a token; its connections end at once."""
        registry.revoke_token(u, k)
        return Reply("Token revoked")

    @calls.get("/users/{u:int}/audit", response_model=list[schemas.AuditEntry], responses=failures)
    def audit(
        u: Id,
        limit: int = Query(200, ge=1, le=1_000),
        before: int | None = Query(None, ge=0, le=MOST_ID),
        caller: Caller = Depends(callers.owner_of_path),
    ) -> Reply:
        """List what one did, newest first."""
        found = registry.audit(actor=caller.user.username, limit=limit, before=before)
        return Reply([_entry_json(entry) for entry in found])

    return calls


def admin_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls of administrators."""
    calls = APIRouter(prefix="/admin", tags=["administration"])
    registry, failures = parts.registry, failing(400, 401, 403, 404)

    @calls.get("/users", response_model=list[schemas.User], responses=failures)
    def users(caller: Caller = Depends(callers.administrator)) -> Reply:
        """List all users."""
        return Reply([user_json(user) for user in registry.users()])

    @calls.put(
        "/users/{username}",
        response_model=schemas.User,
        responses=failures,
        openapi_extra=takes(admin_=bool),
    )
    def make(
        username: str, caller: Caller = Depends(callers.administrator), body: Given = Depends(given)
    ) -> Reply:
        """Make somebody an administrator, or no longer one."""
        admin = body.yes("admin")
        if admin is None:
            raise missing("admin")
        return Reply(user_json(registry.set_admin(caller.user.id, username, admin)))

    @calls.delete("/users/{username}", response_model=str, responses=failures)
    async def delete(username: str, caller: Caller = Depends(callers.administrator)) -> Reply:
        """Delete somebody's account, with services and tokens."""
        await delete_user(parts, caller.user.id, username)
        return Reply("User Deleted")

    @calls.get("/audit", response_model=list[schemas.AuditEntry], responses=failures)
    def audit(
        actor: str = "",
        limit: int = Query(200, ge=1, le=1_000),
        before: int | None = Query(None, ge=0, le=MOST_ID),
        caller: Caller = Depends(callers.administrator),
    ) -> Reply:
        """List what was done, newest first."""
        return Reply(
            [_entry_json(entry) for entry in registry.audit(actor=actor, limit=limit, before=before)]
        )

    return calls


def _token_json(token: Token) -> dict[str, Any]:
    scope = token.scope
    return {
        "id": token.id,
        "kind": token.kind.value,
        "name": token.name,
        "publish": None if scope.publish is None else list(scope.publish),
        "subscribe": None if scope.subscribe is None else list(scope.subscribe),
        "api": scope.api.value,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "service_id": token.service_id,
    }


def _entry_json(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
    }
