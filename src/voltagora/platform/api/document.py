"""The OpenAPI document: what FastAPI reads from the code, put right where we answer otherwise."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from voltagora.platform.api.schemas import Message

OPEN: Final = frozenset(
    (
        *(("/register", "post"), ("/login", "post"), ("/accounts/confirm/{token}", "get")),
        *(("/topics/ontology", "get"), ("/services/ontology", "get"), ("/services", "get")),
        ("/health", "get"),
    )
)
"""The calls that need no token; those of brokers need none either, but the right address."""

_ALWAYS: Final = {"400": "Not understood", "408": "Too slow", "413": "Too long"}
_SECURED: Final = {"401": "No good token", "403": "Not allowed", "404": "No such user or thing"}


def tell_openapi(app: FastAPI) -> None:
    """Give an application its document."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description="Whoever logs in gets the tokens; personal tokens are taken in their place.",
        routes=app.routes,
    )
    parts = document.setdefault("components", {})
    parts["securitySchemes"] = {"Bearer": {"type": "http", "scheme": "bearer"}}
    schemas = parts.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.setdefault("Message", Message.model_json_schema())
    for path, calls in document["paths"].items():
        for method, call in calls.items():
            _put_right(path, method, call)
    return document


def _put_right(path: str, method: str, call: dict[str, Any]) -> None:
    told = call["responses"]
    told.pop("422", None)
    secured = (path, method) not in OPEN and not path.startswith("/mqtt/")
    if secured:
        call["security"] = [{"Bearer": []}]
    refusals = {**_ALWAYS, **(_SECURED if secured else {})}
    if path.startswith("/mqtt/"):
        told["403"] = {"description": "No, or not asked by a broker"}
    refused = {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
    for code, words in refusals.items():
        told.setdefault(code, {"description": words, "content": refused})
