"""The same programs on the hub and on a mosquitto from Debian: every client sees the same.

What may differ is smoothed out in `programs`, and each such rule is a line of decision 0150 in
docs/decisions. `VOLTAGORA_PROGRAMS=5000` runs so many new programs instead of a few that are always the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from programs import (
    Account,
    Program,
    Run,
    exact,
    exactly_once,
    in_order,
    normal,
    of_groups,
    programs,
    shared_programs,
)

from brokers import Mosquitto, program, running_hub

MANY = int(os.environ.get("VOLTAGORA_PROGRAMS", "0"))


def examples(few: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=MANY or few,
        derandomize=not MANY,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def on_hub(
    written: Program, *, really: bool = True, begin_twice: bool = False, folder: Path | None = None
) -> Account:
    with running_hub(data=folder) as hub:
        account = Run(hub, written, really=really, begin_twice=begin_twice).account()
    in_order(account)
    return account


def on_mosquitto(written: Program, *, persistence: bool = False, begin_twice: bool = False) -> Account:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        mosquitto = Mosquitto(folder, persistence=persistence).open()
        stack.enter_context(closing(mosquitto))
        return Run(mosquitto, written, begin_twice=begin_twice).account()


def same(one: list[Any], other: list[Any], written: Program) -> None:
    """Compare step by step, and show the program up to the first step that differs."""
    for number, (here, there) in enumerate(zip(one, other, strict=True)):
        if here != there:
            steps = "\n".join(map(str, written.steps[: number + 1]))
            pytest.fail(f"{written.versions}\n{steps}\nfirst  {here}\nsecond {there}", pytrace=False)


@pytest.fixture(scope="module")
def _mosquitto_is_there() -> None:
    program("mosquitto")


@pytest.mark.usefixtures("_mosquitto_is_there")
@examples(250)
@given(programs())
def test_clients_see_the_same_as_with_mosquitto(written: Program) -> None:
    account = on_hub(written)
    exactly_once(account)
    same(normal(account), normal(on_mosquitto(written)), written)


@pytest.mark.usefixtures("_mosquitto_is_there")
@examples(80)
@given(programs(restarts=True))
def test_clients_see_the_same_as_with_mosquitto_over_restarts(written: Program) -> None:
    with TemporaryDirectory() as folder:
        hub = on_hub(written, begin_twice=True, folder=Path(folder))
    exactly_once(hub)
    mosquitto = on_mosquitto(written, persistence=True, begin_twice=True)
    same(normal(hub), normal(mosquitto), written)


@pytest.mark.usefixtures("_mosquitto_is_there")
@examples(60)
@given(shared_programs())
def test_groups_see_the_same_as_with_mosquitto(written: Program) -> None:
    hub, mosquitto = of_groups(on_hub(written)), of_groups(on_mosquitto(written))
    assert hub == mosquitto


@examples(150)
@given(programs(restarts=True))
def test_a_hub_that_keeps_shows_nothing_else_than_one_that_does_not(written: Program) -> None:
    """A restart is to be seen by nobody, except that every line is cut."""
    with TemporaryDirectory() as folder:
        kept = on_hub(written, folder=Path(folder))
    same(exact(kept), exact(on_hub(written, really=False)), written)
