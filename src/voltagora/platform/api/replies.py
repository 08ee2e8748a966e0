"""How the API answers: JSON with the spacing of `json.dumps`, and every refusal in one shape."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from voltagora.platform.registry.refusals import Refusal

NOT_ALLOWED: Final = "The method is not allowed for the requested URL."
NOT_FOUND: Final = "The requested URL was not found on the server."

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Reply(JSONResponse):
    """JSON as `json.dumps` writes it: one client cuts its token out of the text by the spaces."""

    def __init__(self, content: Any, status_code: int = 200, **options: Any) -> None:
        super().__init__(content, status_code, **options)
        self.headers.update(_HEADERS)

    def render(self, content: Any) -> bytes:
        """Write the body."""
        return json.dumps(content, allow_nan=False).encode()


def refused(refusal: Refusal) -> Reply:
    """Answer with a refusal."""
    if refusal.bare:
        return Reply(refusal.message, refusal.status)
    body: dict[str, Any] = {"message": refusal.message}
    if refusal.code is not None:
        body["code"] = refusal.code
    return Reply(body, refusal.status)


def answer_refusals(app: FastAPI) -> None:
    """Have everything that goes wrong answered in the one shape."""

    async def on_refusal(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return refused(error)

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        words = {404: NOT_FOUND, 405: NOT_ALLOWED}.get(error.status_code, str(error.detail))
        return Reply({"message": words}, error.status_code, headers=error.headers)

    async def on_invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        texts = {str(each["loc"][-1]): str(each["msg"]) for each in error.errors()}
        return Reply({"message": texts}, 400)

    async def on_anything(_: Request, error: Exception) -> Response:
        return Reply({"message": "Something went wrong here; it is in the log."}, 500)

    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_anything)
