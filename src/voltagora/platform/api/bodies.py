"""Bodies of requests: bounded in size and time, JSON or form, read into fields."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voltagora.platform.api.replies import refused
from voltagora.platform.registry import strict_json
from voltagora.platform.registry.entities import Visibility
from voltagora.platform.registry.refusals import Refusal, missing

MOST_BYTES: Final = 10 * 1024 * 1024
MOST_UPLOAD_BYTES: Final = 200 * 1024 * 1024
_MULTIPART_BYTES: Final = 64 * 1024
"""What multipart adds around a file."""
IDLE_SECONDS: Final = 30.0
_MOST_FIELDS: Final = 2_000

_UPLOADS: Final = re.compile(r"/users/\d+/services/\d+/uploads\Z")


class Bounded:
    """Middleware that stops reading bodies that are too long (413) or stand still (408)."""

    def __init__(self, app: ASGIApp, idle_seconds: float = IDLE_SECONDS) -> None:
        self._app = app
        self._idle_seconds = idle_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = _MULTIPART_BYTES + (MOST_UPLOAD_BYTES if _UPLOADS.search(scope["path"]) else MOST_BYTES)
        headers = dict(scope["headers"])
        if b"content-length" in headers and b"transfer-encoding" in headers:
            # Two lengths: what is a body here may be a request to whoever stands in between.
            ambiguous = refused(Refusal(400, "The request has two lengths."))
            ambiguous.headers["Connection"] = "close"
            await ambiguous(scope, receive, send)
            return
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or int(told[:20]) > most:
            await refused(_too_long(most))(scope, receive, send)
            return
        read, ended = 0, False

        async def bounded() -> Message:
            nonlocal read, ended
            if ended:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), self._idle_seconds)
            except TimeoutError:
                raise Refusal(408, "The request did not arrive in time.") from None
            read += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if read > most:
                raise _too_long(most)
            return message

        await self._app(scope, bounded, send)


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"The request is longer than {most} bytes.")


class Given:
    """The fields of a body."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def has(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self._values.get(name) is not None

    def text(self, name: str) -> str | None:
        """Give a text; None: it is not there. A whole number counts as its digits.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self._values.get(name)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        raise Refusal(400, {name: "Not a valid string."})

    def required(self, *names: str) -> list[str]:
        """Give texts that must be there and not be empty.

        Raises:
            Refusal: 400 by field.
        """
        found = {name: self.text(name) for name in names}
        lacking = [name for name, text in found.items() if not text]
        if lacking:
            raise missing(*lacking)
        return [text or "" for text in found.values()]

    def yes(self, name: str) -> bool | None:
        """Give a yes or no; None: it is not there.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        words = {"true": True, "1": True, "false": False, "0": False}
        if str(value).lower() not in words:
            raise Refusal(400, {name: "Not a valid boolean."})
        return words[str(value).lower()]

    def number(self, name: str) -> int | None:
        """Give a whole number; None: it is not there.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self._values.get(name)
        if value is None or value == "":
            return None
        digits = str(value)
        if isinstance(value, bool | float) or not re.fullmatch(r"-?[0-9]{1,15}", digits):
            raise Refusal(400, {name: "Not a valid integer."})
        return int(digits)

    def objects(self, name: str) -> list[Mapping[str, Any]]:
        """Give a list of objects; in a form it is the text of one.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self._listed(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            raise Refusal(400, {name: "Not a valid list of objects."})
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Give a list of texts; None: it is not there.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self._listed(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Refusal(400, {name: "Not a valid list of strings."})
        return tuple(value)

    def _listed(self, name: str) -> Any:
        value = self._values.get(name)
        if not isinstance(value, str):
            return value
        try:
            found = strict_json.read(value.encode("utf-8", "surrogatepass")) if value.strip() else []
        except ValueError:
            raise Refusal(400, {name: "Not a valid list."}) from None
        return found if isinstance(found, list) else [found]

    def visibility(self) -> Visibility | None:
        """Give `open` or `approval`; None: it is not there.

        Raises:
            Refusal: 400, it is something else.
        """
        value = self.text("visibility")
        if value is None:
            return None
        if value not in tuple(Visibility):
            raise Refusal(400, {"visibility": "Must be open or approval."})
        return Visibility(value)


async def given(request: Request) -> Given:
    """Read a body, JSON or form; an empty one has no fields.

    Raises:
        Refusal: 400, it is neither.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_fields=_MOST_FIELDS) as form:
            return Given({key: value for key, value in form.items() if isinstance(value, str)})
    body = await request.body()
    if kind == "application/x-www-form-urlencoded":
        return Given(_form(body))
    if not body.strip():
        return Given({})
    try:
        document = strict_json.read(body)
    except ValueError as error:
        raise Refusal(400, f"invalid json: {str(error)[:200]}") from None
    if not isinstance(document, dict):
        raise Refusal(400, "invalid json: an object is needed")
    return Given(document)


def _form(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refusal(400, "The form cannot be read.") from None
    return dict(pairs)
