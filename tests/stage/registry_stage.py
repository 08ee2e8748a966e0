"""A registry in a folder of its own, and people in it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterable
from pathlib import Path

from voltagora.platform.registry.entities import Service, ServiceDraft, Topic, TopicDraft
from voltagora.platform.registry.registry import Registry


class Wall:
    """A clock that goes when told."""

    def __init__(self, at: float = 1_764_033_060.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@functools.cache
def _empty() -> bytes:
    """A database with its tables: making them takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.db"
        Registry(f"sqlite:///{path}").close()
        return path.read_bytes()


def a_registry(folder: Path, **options: object) -> Registry:
    path = folder / "registry.db"
    if not path.exists():
        path.touch(0o600)
        path.write_bytes(_empty())
    return Registry(f"sqlite:///{folder / 'registry.db'}", **options)  # type: ignore[arg-type]


def a_user(registry: Registry, username: str) -> int:
    return registry.register_user(username, f"{username}@example.org", "no hash").id


def a_topic(registry: Registry, user: int, name: str, **options: object) -> Topic:
    return registry.create_topic(user, TopicDraft(name=name, topic_ontology="float"), **options)  # type: ignore[arg-type]


def a_draft(name: str, reads: Iterable[str] = (), writes: Iterable[str] = ()) -> ServiceDraft:
    return ServiceDraft(
        name=name,
        service_type="Processor",
        input_topics=tuple(TopicDraft(name=each, topic_ontology="float") for each in reads),
        output_topics=tuple(TopicDraft(name=each, topic_ontology="float") for each in writes),
    )


def a_service(
    registry: Registry, user: int, name: str, reads: Iterable[str] = (), writes: Iterable[str] = ()
) -> Service:
    return registry.create_service(user, a_draft(name, reads, writes))


def names(topics: Iterable[Topic]) -> list[str]:
    return [topic.name for topic in topics]
