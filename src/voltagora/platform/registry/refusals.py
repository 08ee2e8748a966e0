"""The one way the platform says no: a status and the exact words that clients show."""

from __future__ import annotations

from collections.abc import Mapping

from voltagora.domain.errors import VoltAgoraError


class Refusal(VoltAgoraError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        message: what stands under `message`: a text, or texts by field.
        code: what stands under `code` (`TOKEN_EXPIRED`), or None.
        bare: the body is the message itself, a string, without `{"message": ...}`.
    """

    def __init__(
        self, status: int, message: str | Mapping[str, str], *, code: str | None = None, bare: bool = False
    ) -> None:
        self.status = status
        self.message = message
        self.code = code
        self.bare = bare
        super().__init__(message if isinstance(message, str) else "; ".join(map(": ".join, message.items())))


def missing(*fields: str) -> Refusal:
    """Refuse because fields are missing."""
    return Refusal(400, dict.fromkeys(fields, "This field is required."))


def quota(what: str, most: int) -> Refusal:
    """Refuse because a user has enough of something."""
    return Refusal(400, f"No more than {most} {what} are allowed.")
