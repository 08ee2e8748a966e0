"""Many topic filters, asked whether one of them covers a topic or a filter."""

from __future__ import annotations

from collections.abc import Iterable

from voltagora.hub.topics import parse_filter


class _Level:
    """What may follow after the levels so far."""

    __slots__ = ("ends", "has_rest", "next")

    def __init__(self) -> None:
        self.next: dict[str, _Level] = {}
        self.ends = False  # a filter ends here
        self.has_rest = False  # a filter goes on with `#`


class GrantedFilters:
    """Filters as a tree of levels: an answer takes as long as the topic has levels, however many there are.

    Args:
        filters: texts without `$share`.

    Raises:
        PacketError: one of them is no filter.
    """

    __slots__ = ("_root",)

    def __init__(self, filters: Iterable[str] = ()) -> None:
        self._root = _Level()
        for text in filters:
            level = self._root
            for name in parse_filter(text).levels:
                if name == "#":
                    level.has_rest = True
                    break
                found = level.next.get(name)
                if found is None:
                    found = level.next[name] = _Level()
                level = found
            else:
                level.ends = True

    def cover(self, wanted: tuple[str, ...]) -> bool:
        """Tell whether one filter covers all topics that `wanted` matches; see `topics.covers`."""
        root = self._root
        first = wanted[0]
        if first[:1] == "$":  # Wildcards in the first level never match these.
            start = root.next.get(first)
            return start is not None and _cover(start, wanted, 1)
        return _cover(root, wanted, 0)


def _cover(level: _Level, wanted: tuple[str, ...], at: int) -> bool:
    if level.has_rest:
        # `a/#` also matches `a`, but `#` alone needs at least one level, which every topic has.
        return True
    if at == len(wanted):
        return level.ends
    name = wanted[at]
    if name == "#":
        return False
    one = level.next.get(name)
    if one is not None and _cover(one, wanted, at + 1):
        return True
    if name == "+":
        return False  # Looked up just now.
    anyone = level.next.get("+")
    return anyone is not None and _cover(anyone, wanted, at + 1)
