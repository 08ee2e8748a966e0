"""Calls about accounts: register, log in and out, confirm, change, delete."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from voltagora.platform.accounts.accounts import Caller
from voltagora.platform.api import schemas
from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import Callers, Id, address_of
from voltagora.platform.api.pages import wants_page
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes
from voltagora.platform.registry.refusals import missing
from voltagora.platform.registry.shapes import user_json


def account_calls(parts: Parts, callers: Callers) -> APIRouter:
    """Make the calls."""
    calls = APIRouter(tags=["accounts"])
    accounts = parts.accounts

    @calls.post(
        "/register",
        status_code=201,
        response_model=schemas.Registered,
        responses=failing(400),
        openapi_extra=takes(username_=str, email_=str, password_=str),
    )
    def register(body: Given = Depends(given)) -> Reply:
        """Register a user."""
        username, email, password = body.required("username", "email", "password")
        user, token = accounts.register(username, email, password)
        told = {"status": "success", "message": "Successfully registered.", "data": user_json(user)}
        return Reply({**told, "access_token": token}, 201)

    @calls.post(
        "/login",
        response_model=schemas.LoggedIn,
        responses=failing(400, 401),
        openapi_extra=takes(username=str, email=str, password_=str),
    )
    def login(request: Request, body: Given = Depends(given)) -> Reply:
        """Log in by username or address of mail."""
        name = body.text("username") or body.text("email")
        password = body.text("password")
        if not name or not password:
            raise missing(*(["username"] if not name else []), *(["password"] if not password else []))
        user, access, refresh = accounts.login(name, password, address_of(request))
        told = {"status": "success", "message": "User authenticated.", "data": user_json(user)}
        return Reply({**told, "access_token": access, "refresh_token": refresh})

    @calls.post("/refresh", response_model=schemas.Access, responses=failing(401, 404))
    def refresh(request: Request) -> Reply:
        """Get a new access token for a refresh token."""
        return Reply({"access_token": accounts.refresh(request.headers.get("authorization"))})

    @calls.post(
        "/logout",
        response_model=schemas.Done,
        responses=failing(401, 403, 404),
        openapi_extra=takes(refresh_token=str),
    )
    def logout(caller: Caller = Depends(callers.anybody), body: Given = Depends(given)) -> Reply:
        """End a login; both of its tokens."""
        accounts.logout(caller, body.text("refresh_token") or "")
        words = f"User {caller.user.username} successfully logged out."
        return Reply({"status": "success", "message": words})

    @calls.get("/accounts/confirm/{token}", response_model=schemas.Done, responses=failing(401, 404))
    def confirm(token: str, request: Request) -> Response:
        """Confirm an address by the token of a mail; a browser is sent to the page for signing in."""
        user = accounts.confirm(token)
        if wants_page(request.scope):
            return RedirectResponse("/signin", 303)
        words = "You have confirmed your account. Thanks!"
        return Reply({"status": "success", "message": words, "data": user_json(user)})

    _own(calls, parts, callers)
    return calls


def _own(calls: APIRouter, parts: Parts, callers: Callers) -> None:
    accounts = parts.accounts
    path, failures = "/accounts/{u:int}", failing(400, 401, 403, 404)

    @calls.get("/accounts/me", response_model=schemas.User, responses=failures)
    def me(caller: Caller = Depends(callers.anybody)) -> Reply:
        """Show who calls: what a personal token does not tell."""
        return Reply(user_json(caller.user))

    @calls.get(path, response_model=schemas.User, responses=failures)
    def show(u: Id, caller: Caller = Depends(callers.owner_of_path)) -> Reply:
        """Show one's own account."""
        return Reply(user_json(caller.user))

    @calls.put(
        path,
        response_model=schemas.User,
        responses=failures,
        openapi_extra=takes(email=str, password=str),
    )
    def change(
        u: Id, caller: Caller = Depends(callers.owner_of_path_fresh), body: Given = Depends(given)
    ) -> Reply:
        """Change one's address, password, or both."""
        email, password = body.text("email") or None, body.text("password") or None
        if email is None and password is None:
            raise missing("email", "password")
        return Reply(user_json(accounts.change(u, email, password)))

    @calls.delete(path, response_model=str, responses=failures)
    async def delete(u: Id, caller: Caller = Depends(callers.owner_of_path_fresh)) -> Reply:
        """Delete one's account, with services and tokens."""
        await delete_user(parts, u, caller.user.username)
        return Reply("User Deleted")


async def delete_user(parts: Parts, user_id: int, username: str) -> None:
    """Delete somebody's account on behalf of a user, and what runs for it.

    Raises:
        Refusal: as `Registry.delete_user`.
    """
    gone = await run_in_threadpool(parts.registry.find_user, username=username)
    services = await run_in_threadpool(parts.registry.services_owned, gone.id) if gone is not None else ()
    await run_in_threadpool(parts.registry.delete_user, user_id, username)
    for service in services:
        await parts.runner.remove(service)
