"""What is not a call: pages, by another application or by a single page from a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from voltagora.platform.api.replies import NOT_ALLOWED, NOT_FOUND, Reply

_BOTH: Final = re.compile(r"/(?:services|topics)(?:/\d+)?\Z")
"""Where a call and a page have the same address."""


def wants_page(scope: Scope) -> bool:
    """Whether a browser asks for a page and no program for data."""
    headers = dict(scope["headers"])
    return b"text/html" in headers.get(b"accept", b"").lower() and b"authorization" not in headers


class Otherwise:
    """The last route: pages if there are any, 405 where another method would be a call, else 404."""

    def __init__(self, routes: Sequence[BaseRoute], pages: ASGIApp | None) -> None:
        self._routes = routes
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is no call."""
        if scope["type"] != "http":
            raise HTTPException(404)
        known = any(
            route.matches(scope)[0] is Match.PARTIAL for route in self._routes if not isinstance(route, Mount)
        )
        read = scope["method"] in ("GET", "HEAD")
        if self._pages is not None and (read or not known):
            await self._pages(scope, receive, send)
            return
        status, words = (405, NOT_ALLOWED) if known else (404, NOT_FOUND)
        await Reply({"message": words}, status)(scope, receive, send)


class PagesFirst:
    """Middleware that gives a browser the page where a call has the same address."""

    def __init__(self, app: ASGIApp, pages: ASGIApp | None) -> None:
        self._app = app
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        read = scope["type"] == "http" and scope["method"] == "GET"
        shared = read and _BOTH.match(scope["path"]) is not None and wants_page(scope)
        answers = self._pages if shared and self._pages is not None else self._app
        await answers(scope, receive, send)


class SinglePage(StaticFiles):
    """A compiled page: its files, and its `index.html` for every other address, which it reads itself."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder, html=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file; never with another's status."""
        if scope["method"] not in ("GET", "HEAD"):
            await Reply({"message": NOT_FOUND}, 404)(scope, receive, send)
            return
        # Seen as the last route of an application, the path would still hold what came before.
        await super().__call__({**scope, "root_path": "", "path": scope["path"]}, receive, send)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Give a file, else the page."""
        if "\0" in path:
            raise HTTPException(404)
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return await super().get_response("index.html", scope)
