"""Every error that the hub raises on purpose.

HubError             something a user of the hub can act on
├── SetupError       an option, a users file or a certificate is wrong: field, value, what would be right
├── StoreError       the data folder cannot be read or written
├── Refused          rights or a quota say no to something asked through the Python API
└── PacketError      a peer broke the protocol; carries the reason code of the standard
"""

from __future__ import annotations

from voltagora.hub.reasons import Reason


class HubError(Exception):
    """Something a user of the hub can act on; the message says how."""


class SetupError(HubError, ValueError):
    """An option, a users file or a certificate is wrong.

    Args:
        field: where it is, as a path (`users.alice.publish[2]`).
        got: the value found.
        expected: what would be right, so that the sentence reads "must be ...".
    """

    def __init__(self, field: str, got: object, expected: str) -> None:
        self.field = field
        self.got = got
        self.expected = expected
        super().__init__(f"{field}: got {got!r}, must be {expected}")


class StoreError(HubError):
    """The data folder cannot be read or written."""


class Refused(HubError):
    """Rights or a quota say no."""

    def __init__(self, reason: Reason, what: str) -> None:
        self.reason = reason
        super().__init__(f"{what}: {reason.words}")


class PacketError(HubError):
    """A peer sent what the standard forbids; its connection is closed with the reason."""

    def __init__(self, reason: Reason, what: str) -> None:
        self.reason = reason
        self.what = what
        super().__init__(what)
