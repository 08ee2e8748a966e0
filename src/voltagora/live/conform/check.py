"""What a check is, what it may find, and the list that each kind of agent is checked by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

P = TypeVar("P")
Act = Callable[[P], Awaitable[None]]


class Verdict(StrEnum):
    """How a check ended."""

    RIGHT = "right"
    WRONG = "wrong"
    MISSING = "missing"
    NOT_CHECKED = "not checked"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one check."""

    protocol: str
    check: str
    promise: str
    verdict: Verdict
    detail: str = ""


class Shortcoming(Exception):
    """Why a check did not end well; the text says what was seen and what would be right."""

    verdict: Verdict


class Wrong(Shortcoming):
    """The agent did something that it must not do."""

    verdict = Verdict.WRONG


class Missing(Shortcoming):
    """The agent did not do something that it must do."""

    verdict = Verdict.MISSING


class NotChecked(Shortcoming):
    """It could not be found out."""

    verdict = Verdict.NOT_CHECKED


class Check(msgspec.Struct, frozen=True):
    """One promise of the contract and how it is put to the test."""

    protocol: str
    name: str
    promise: str
    act: Act[Any]
    is_slow: bool

    async def find(self, play: Any) -> Finding:
        """Put it to the test."""
        try:
            await self.act(play)
        except Shortcoming as error:
            return self.finding(error.verdict, str(error))
        return self.finding(Verdict.RIGHT)

    def finding(self, verdict: Verdict, detail: str = "") -> Finding:
        """Say what came of it."""
        return Finding(
            protocol=self.protocol, check=self.name, promise=self.promise, verdict=verdict, detail=detail
        )


class Checks(list[Check]):
    """The checks of one kind of agent, in the order in which they are made."""

    def add(self, protocol: str, *, slow: bool = False) -> Callable[[Act[P]], Act[P]]:
        """Make a function a check, named as it is; its docstring is the promise.

        Slow ones wait for real time-outs, side by side.
        """

        def listed(act: Act[P]) -> Act[P]:
            promise = " ".join((act.__doc__ or "").split()).removesuffix(".")
            self.append(Check(protocol, getattr(act, "__name__", promise), promise, act, slow))
            return act

        return listed


def require(holds: bool, otherwise: str) -> None:
    """Find something wrong unless it holds.

    Raises:
        Wrong: with those words.
    """
    if not holds:
        raise Wrong(otherwise)
