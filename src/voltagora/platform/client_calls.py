"""How the platform's client makes its calls: one place for tokens, refusals and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec

from voltagora.domain.errors import VoltAgoraError

T = TypeVar("T")


class PlatformError(VoltAgoraError):
    """The platform said no.

    Attributes:
        status: of HTTP.
        message: a text, or texts by field.
        code: `TOKEN_EXPIRED`, `FRESH_TOKEN_REQUIRED` or None.
    """

    def __init__(self, status: int, message: str | Mapping[str, str], code: str | None = None) -> None:
        self.status = status
        self.message = message
        self.code = code
        super().__init__(f"{status}: {message}")


class Calls:
    """Calls the platform with a token, and replaces the one that has expired."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        transport: httpx.BaseTransport | None = None,
        seconds: float = 600.0,
    ) -> None:
        self._http = httpx.Client(base_url=url, transport=transport, timeout=seconds)
        self._access = token
        self._refresh: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def refresh(self) -> None:
        """Get a new access token."""
        told = self._json("POST", "/refresh", None, token=self._refresh)
        self._access = told["access_token"]

    def _get(self, path: str, kind: type[T], query: Mapping[str, Any] | None = None) -> T:
        return self._read("GET", path, kind, query=query)

    def _post(self, path: str, body: Any, kind: type[T]) -> T:
        return self._read("POST", path, kind, body=body)

    def _put(self, path: str, body: Any, kind: type[T]) -> T:
        return self._read("PUT", path, kind, body=body)

    def _read(self, method: str, path: str, kind: type[T], **options: Any) -> T:
        return msgspec.json.decode(self._call(method, path, **options).content, type=kind)

    def _json(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        return self._call(method, path, body=body, token=token).json()

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, Any]) -> Iterator[httpx.Response]:
        headers = {"Authorization": f"Bearer {self._access}"}
        with self._http.stream("GET", path, params=query, headers=headers) as answer:
            if not answer.is_success:
                answer.read()
                raise _error(answer)
            yield answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        files: Any = None,
        token: str | None = None,
    ) -> httpx.Response:
        asked = {key: each for key, each in (query or {}).items() if each is not None}
        said = {key: each for key, each in body.items() if each is not None} if body else None
        for last in (False, True):
            shown = token or self._access
            headers = {"Authorization": f"Bearer {shown}"} if shown else {}
            answer = self._http.request(method, path, params=asked, json=said, files=files, headers=headers)
            if answer.is_success:
                return answer
            error = _error(answer)
            if last or token or error.code != "TOKEN_EXPIRED" or self._refresh is None:
                raise error
            self.refresh()
            if files is not None:
                _rewind(files)
        raise AssertionError("the second try returns or raises")


def _error(answer: httpx.Response) -> PlatformError:
    try:
        told = answer.json()
    except ValueError:
        return PlatformError(answer.status_code, answer.text[:200])
    if not isinstance(told, dict):
        return PlatformError(answer.status_code, str(told))
    return PlatformError(answer.status_code, told.get("message", ""), told.get("code"))


def _rewind(files: Mapping[str, Any]) -> None:
    for _, content, _ in files.values():
        if not isinstance(content, bytes):
            content.seek(0)
