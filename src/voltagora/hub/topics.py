"""Topic names and filters: what is valid, what matches, what covers what (section 4.7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason

MOST_LEVELS: Final = 200
"""Deeper names and filters are refused: a name of 65,535 slashes is an attack, not a topic."""

_SHARE: Final = "$share"


@dataclass(frozen=True, slots=True)
class Filter:
    """A topic filter taken apart."""

    text: str
    """As subscribed, with its `$share/group/`."""
    levels: tuple[str, ...]
    group: str | None = None
    """The group of a shared subscription."""

    @property
    def topics(self) -> str:
        """The filter without its `$share/group/`."""
        return "/".join(self.levels)


def parse_filter(text: str) -> Filter:
    """Take a filter apart.

    Raises:
        PacketError: with the reason TOPIC_FILTER_INVALID.
    """
    levels = tuple(text.split("/"))
    group = None
    if levels[0] == _SHARE:
        if len(levels) < 3 or not levels[1] or "+" in levels[1] or "#" in levels[1]:
            raise PacketError(Reason.TOPIC_FILTER_INVALID, "a shared subscription is $share/group/filter")
        group, levels = levels[1], levels[2:]
    if levels in ((), ("",)):
        raise PacketError(Reason.TOPIC_FILTER_INVALID, "an empty filter")
    if len(levels) > MOST_LEVELS or len(text) > 65_535 or "\0" in text:
        raise PacketError(Reason.TOPIC_FILTER_INVALID, "a filter that is too long, too deep or has U+0000")
    for index, level in enumerate(levels):
        if "#" in level and (level != "#" or index != len(levels) - 1):
            raise PacketError(Reason.TOPIC_FILTER_INVALID, "# stands alone and last")
        if "+" in level and level != "+":
            raise PacketError(Reason.TOPIC_FILTER_INVALID, "+ stands alone in its level")
    return Filter(text, levels, group)


def topic_levels(name: str) -> tuple[str, ...]:
    """Take a topic name apart.

    Raises:
        PacketError: with the reason TOPIC_NAME_INVALID.
    """
    if not name or "+" in name or "#" in name or "\0" in name:
        raise PacketError(Reason.TOPIC_NAME_INVALID, "a topic name is not empty and has no wildcard")
    levels = tuple(name.split("/"))
    if len(levels) > MOST_LEVELS:
        raise PacketError(Reason.TOPIC_NAME_INVALID, f"a topic name of more than {MOST_LEVELS} levels")
    return levels


def covers(grant: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether every topic that `wanted` matches is matched by `grant`.

    For a `wanted` without wildcards this is matching itself. Wildcards in the first level never
    match names that begin with `$`.
    """
    if wanted[0][:1] == "$" and grant[0] in ("+", "#"):
        return False
    for index, level in enumerate(grant):
        if level == "#":
            return True
        if index == len(wanted):
            return False
        other = wanted[index]
        if other == "#" or (level != "+" and level != other):
            return False
    # `a/#` would match `a` too, and was handled above when the filter still had a level left.
    return len(grant) == len(wanted)
