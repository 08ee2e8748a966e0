"""The environment in which the platform starts a service, and what our agents take from it.

`BROKER` (host; port 1883), `CLIENT_NAME`, `username`, `password`, `run_params` (JSON text),
`in_topic_1..n`, `out_topic_1..m`: the names the service registered, wildcards as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from voltagora.domain.errors import InputError, Verbatim
from voltagora.hub.errors import PacketError, SetupError
from voltagora.hub.granted import GrantedFilters
from voltagora.hub.options import host_and_port
from voltagora.hub.topics import parse_filter

BROKER_PORT: Final = 1883
_OBJECT: Final = 'a JSON object like {"id": "cs-00"}'
_SECRET: Final = re.compile(r"://[^\s\"]*@")
"""Where somebody may have written a password."""
MOST_NAMED: Final = 5
"""So many missing topics are named; who forgot more forgot most."""


class ServiceEnvironment(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; None or empty where there was nothing. User and password are not kept here."""

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
        host = environment.get("BROKER", "").strip()
        return cls(
            broker=_url(host) if host else None,
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


def _url(host: str) -> str:
    """Make an address of a host; a port that stands behind it counts, though the contract knows none."""
    try:
        _, port = host_and_port("BROKER", host)
    except SetupError:
        shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
        return f"mqtt://{shown}:{BROKER_PORT}"
    return f"mqtt://{host.rpartition(':')[0]}:{port}"


def _parameters(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    shown = _SECRET.sub("://...@", text)
    try:
        found = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InputError("run_params", shown, f"{_OBJECT} ({error})") from None
    if not isinstance(found, dict):
        raise InputError("run_params", shown, _OBJECT)
    return found


def _numbered(environment: Mapping[str, str], prefix: str) -> tuple[str, ...]:
    form = re.compile(re.escape(prefix) + r"([1-9][0-9]*)")
    numbers = sorted(int(found[1]) for found in map(form.fullmatch, environment) if found)
    return tuple(environment[f"{prefix}{number}"] for number in numbers)


def _check(name: str, registered: tuple[str, ...], needed: Iterable[str]) -> None:
    field = f"{name}_1..{len(registered)}" if registered else f"{name}_1"
    try:
        covered = GrantedFilters(registered)
    except PacketError as error:
        raise InputError(field, ", ".join(registered), f"topics ({error})") from None
    missing = [text for text in needed if not covered.cover(parse_filter(text).levels)]
    if missing:
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        # Not in what was found, which is cut: half a topic's name helps nobody.
        expected = f"topics that also cover {', '.join(missing[:MOST_NAMED])}{more}"
        raise InputError(field, Verbatim(f"{len(registered)} topics"), expected)
