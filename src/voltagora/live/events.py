"""What happens to the agents of a process: all they ever hear, and so all that a journal must keep."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Started(msgspec.Struct, frozen=True, tag="start", array_like=True):
    """The word `start`."""

    now: int  # simulated, seconds UTC, as in all events


class Advanced(msgspec.Struct, frozen=True, tag="advance", array_like=True):
    """Time has passed: all that was due until now is due."""

    now: int


class Arrived(msgspec.Struct, frozen=True, tag="arrive", array_like=True):
    """A publication came."""

    now: int
    topic: str
    payload: bytes
    sender: str | None = None
    retained: bool = False


class Expired(msgspec.Struct, frozen=True, tag="expire", array_like=True):
    """A request's replies took too long, once more."""

    now: int
    asker: str
    msg_id: str
    sends: int


class Missed(msgspec.Struct, frozen=True, tag="miss", array_like=True):
    """The broker kept nothing for us while we were away: what was said meanwhile was not heard."""

    now: int


class Finished(msgspec.Struct, frozen=True, tag="finish", array_like=True):
    """The word `stop`, or the end of the run."""

    now: int


Event: TypeAlias = Started | Advanced | Arrived | Expired | Missed | Finished
