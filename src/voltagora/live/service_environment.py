"""The environment in which the platform starts a service, and what our agents take from it.

`BROKER` (host; port 1883), `CLIENT_NAME`, `username`, `password`, `run_params` (JSON text),
`in_topic_1..n`, `out_topic_1..m`: the names the service registered, wildcards as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from voltagora.domain.errors import InputError, Verbatim
from voltagora.hub.errors import PacketError
from voltagora.hub.granted import GrantedFilters
from voltagora.hub.topics import parse_filter


class ServiceEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; None or empty where there was nothing."""

    broker: str | None
    client_name: str | None
    parameters: dict[str, Any]
    in_topics: tuple[str, ...]
    out_topics: tuple[str, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> ServiceEnvironment:
        """Read the variables of the platform's contract.

        Raises:
            InputError: `run_params` is no JSON object.
        """
        host = environment.get("BROKER") or None
        return cls(
            broker=None if host is None else f"mqtt://{host}:1883",
            client_name=environment.get("CLIENT_NAME") or None,
            parameters=_parameters(environment.get("run_params", "")),
            in_topics=_numbered(environment, "in_topic_"),
            out_topics=_numbered(environment, "out_topic_"),
        )

    def check(self, reads: Iterable[str], publishes: Iterable[str]) -> None:
        """See that the registered topics cover those of the contract, if any were registered.

        Raises:
            InputError: naming what is missing.
        """
        if not self.in_topics and not self.out_topics:
            return
        _check("in_topic", self.in_topics, reads)
        _check("out_topic", self.out_topics, publishes)


def _parameters(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError("run_params", text, f'a JSON object like {{"id": "cs-00"}} ({error})') from None
    if not isinstance(found, dict):
        raise InputError("run_params", text, 'a JSON object like {"id": "cs-00"}')
    return found


def _numbered(environment: Mapping[str, str], prefix: str) -> tuple[str, ...]:
    numbers = sorted(int(name[len(prefix) :]) for name in environment if _is_numbered(name, prefix))
    return tuple(environment[f"{prefix}{number}"] for number in numbers)


def _is_numbered(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name[len(prefix) :].isdecimal()


def _check(name: str, registered: tuple[str, ...], needed: Iterable[str]) -> None:
    try:
        covered = GrantedFilters(registered)
    except PacketError as error:
        raise InputError(f"{name}_1..{len(registered)}", ", ".join(registered), f"topics ({error})") from None
    missing = [text for text in needed if not covered.cover(parse_filter(text).levels)]
    if missing:
        found = Verbatim(f"{len(registered)} topics without {', '.join(missing[:5])}")
        raise InputError(f"{name}_1..{len(registered)}", found, "all that this agent needs")
