"""Who calls: asked once, in one place, before anything of a call is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Request
from pydantic import AfterValidator
from starlette.concurrency import run_in_threadpool

from voltagora.platform.accounts.accounts import Accounts, Caller
from voltagora.platform.registry.refusals import Refusal

MOST_ID = 2_147_483_647

Id = Annotated[int, AfterValidator(lambda number: number if number <= MOST_ID else 0), Path(ge=0)]
"""An id in a path; one that no database takes is the id of nothing."""


def address_of(request: Request) -> str:
    """Give where a request comes from."""
    return request.client.host if request.client is not None else ""


class Callers:
    """Finds out who calls, as dependencies of calls."""

    def __init__(self, accounts: Accounts) -> None:
        self.accounts = accounts

    async def anybody(self, request: Request) -> Caller:
        """Whoever is logged in."""
        return await self._caller(request)

    async def owner_of_path(self, request: Request) -> Caller:
        """Whoever the path names, logged in."""
        return self._named(request, await self._caller(request))

    async def owner_of_path_fresh(self, request: Request) -> Caller:
        """Whoever the path names, with the password given in this login."""
        return self._named(request, await self._caller(request, fresh=True))

    async def person_of_path(self, request: Request) -> Caller:
        """Whoever the path names, logged in, and not by a token."""
        caller = self._named(request, await self._caller(request))
        if caller.token is not None:
            raise Refusal(403, "Not allowed")
        return caller

    async def administrator(self, request: Request) -> Caller:
        """An administrator, logged in, and not by a token."""
        caller = await self._caller(request)
        if not caller.user.admin or caller.token is not None:
            raise Refusal(403, "Not allowed")
        return caller

    async def _caller(self, request: Request, *, fresh: bool = False) -> Caller:
        header = request.headers.get("authorization")
        write = request.method not in ("GET", "HEAD")
        return await run_in_threadpool(lambda: self.accounts.caller(header, fresh=fresh, write=write))

    def _named(self, request: Request, caller: Caller) -> Caller:
        if request.path_params["u"] != caller.user.id:
            raise Refusal(403, "Not allowed")
        return caller


Who = Callable[..., Caller]
