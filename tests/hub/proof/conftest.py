"""What the proofs share: quiet hubs, and a mosquitto of each test's own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from raw_client import RawClient

from brokers import Mosquitto, RunningHub, running_hub


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Attacks on purpose fill no test log."""
    log = logging.getLogger("voltagora.hub")
    before, log.disabled = log.disabled, True
    yield
    log.disabled = before


@pytest.fixture
def hub() -> Iterator[RunningHub]:
    with running_hub() as found:
        yield found


@pytest.fixture
def client(hub: RunningHub) -> Iterator[Callable[..., RawClient]]:
    """Make clients whose lines are cut when the test is over."""
    made: list[RawClient] = []

    def make(name: str, **options: object) -> RawClient:
        found = RawClient(hub.port, name, **options)  # type: ignore[arg-type]
        made.append(found)
        return found

    yield make
    for each in made:
        each.drop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    found = Mosquitto(tmp_path).open()
    yield found
    found.close()
