"""An event loop whose time passes at once: minutes of a market in milliseconds, the same each time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

BEGIN_SECONDS = 1_000.0
LATEST_SECONDS = 10_000_000.0


class _AtOnce(selectors.SelectSelector):
    """Waits for nothing: while nobody has anything to do, the loop's time jumps to the next timer."""

    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits, and for nothing that a timer would bring")
        if not ready and timeout:
            self.loop.now += timeout
            assert self.loop.now < LATEST_SECONDS, "it never ends"
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Everything on it is in one thread and in a fixed order."""

    def __init__(self) -> None:
        self.now = BEGIN_SECONDS
        self.failures: list[BaseException] = []
        selector = _AtOnce()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(self._keep)

    def time(self) -> float:
        return self.now

    def _keep(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(context.get("exception") or AssertionError(context["message"]))


def run_at_once(main: Coroutine[Any, Any, T]) -> T:
    """Run as `asyncio.run` does, in virtual time; what a callback raises is raised here."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        try:
            result = runner.run(main)
        except BaseException as error:
            raise (loop.failures or [error])[0] from error  # What failed first is why the rest never ended.
        if loop.failures:
            raise loop.failures[0]
        return result
