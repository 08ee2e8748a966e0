"""Names that may be registered: users, topics, services; and when two topic filters overlap."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

from voltagora.platform.registry.refusals import Refusal

MOST_USERNAME: Final = 80
MOST_EMAIL: Final = 255
MOST_TOPIC: Final = 255
MOST_TOPIC_LEVELS: Final = 100
MOST_SERVICE: Final = 50
MOST_TEXT: Final = 200
MOST_LOCATION: Final = 50
MOST_SERVICE_TYPE: Final = 50

_USERNAME: Final = re.compile(r"(?!_+\Z)[A-Za-z0-9_](?:[A-Za-z0-9]|[_.-](?![_.-]))*\Z")
_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f<>\",;:\\]+@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+\Z")


def check_username(name: str, reserved: Collection[str] = ()) -> None:
    """Refuse a username that is none: letters, digits and single `_`, `.`, `-` between them.

    Raises:
        Refusal: 400 with the words of the contract.
    """
    doubled = re.search(r"[_.-]{2}", name)
    if len(name) > MOST_USERNAME or doubled or name[-1:] in ".-" or not _USERNAME.match(name):
        raise Refusal(400, f"Username {name[:100]} is not valid.")
    if name.casefold() in reserved:
        raise Refusal(400, f"Name {name} is not permitted.")


def check_email(email: str) -> None:
    """Refuse what is no address of mail.

    Raises:
        Refusal: 400 with the words of the contract.
    """
    domain = email.rpartition("@")[2]
    known_end = "." in domain or domain == "localhost"
    if len(email) > MOST_EMAIL or not _EMAIL.match(email) or not known_end or not printable(email):
        raise Refusal(400, f"Email {email[:100]} is not valid.")


def check_length(field: str, text: str, most: int) -> None:
    """Refuse a text that is too long or holds control characters.

    Raises:
        Refusal: 400 by field.
    """
    if len(text) > most:
        raise Refusal(400, {field: f"Longer than maximum length {most}."})
    if not printable(text, "\n\t\r"):
        raise Refusal(400, {field: "Holds characters that are not allowed."})


def printable(text: str, allowed: str = "") -> bool:
    """Whether a text has neither control characters nor halves of surrogate pairs."""
    return not any(
        unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") and each not in allowed for each in text
    )


def check_topic_name(name: str, *, anywhere: bool = False) -> None:
    """Refuse a topic name that may not be registered.

    Args:
        name: the topic or wildcard.
        anywhere: a wildcard may stand in the first level too. Only the administrator may do this:
            whoever owns `+/#` owns everything that comes later.

    Raises:
        Refusal: 400 with the words of the contract.
    """
    if name.startswith("$"):
        raise Refusal(400, f"You cannot register topics starting with the character '$': '{name[:300]}'")
    levels = name.split("/")
    if any("#" in level for level in levels[:-1]) or (levels[-1] != "#" and "#" in levels[-1]) or name == "#":
        raise Refusal(400, f"Illegal placement of wildcard character '#' in given topic '{name[:300]}'")
    if any("+" in level and level != "+" for level in levels) or (levels[0] == "+" and not anywhere):
        raise Refusal(400, f"1- Illegal placement of wildcard character '+' in given topic '{name[:300]}'")
    if not name or len(name) > MOST_TOPIC or len(levels) > MOST_TOPIC_LEVELS or not printable(name):
        raise Refusal(400, f"Not a valid topic name: '{name[:300]}'")


def is_wildcard(name: str) -> bool:
    """Whether a registered name stands for many topics."""
    return "+" in name or "#" in name


def overlap(one: str, other: str) -> bool:
    """Whether some topic is matched by both of two filters, by the rules of MQTT."""
    first, second = one.split("/"), other.split("/")
    for index, (left, right) in enumerate(zip(first, second, strict=False)):
        if index == 0 and (_hides(left, right) or _hides(right, left)):
            return False
        if left == "#" or right == "#":
            return True
        if left != right and left != "+" and right != "+":
            return False
    if len(first) == len(second):
        return True
    # What is left of the longer one may only be `#`, which also matches its parent level.
    longer = first if len(first) > len(second) else second
    return longer[min(len(first), len(second)) :] == ["#"]


def intersection(one: str, other: str) -> str | None:
    """Give the filter of the topics that both of two filters match; None: there are none."""
    if not overlap(one, other):
        return None
    first, second = one.split("/"), other.split("/")
    both: list[str] = []
    for index in range(max(len(first), len(second)) + 1):
        left, right = first[index : index + 1], second[index : index + 1]
        if left == ["#"] or right == ["#"]:
            return "/".join((*both, *(second if left == ["#"] else first)[index:]))
        both += right if left == ["+"] else left
    return "/".join(both)


def _hides(wild: str, level: str) -> bool:
    return wild in ("+", "#") and level.startswith("$")


def folder_name(service: str) -> str:
    """Give a service's name on disk: spaces become `_`, then only letters, digits, `-`, `_`, `.` stay.

    Raises:
        Refusal: 400, nothing usable is left.
    """
    folder = re.sub(r"[^-\w.]", "", unicodedata.normalize("NFC", service.strip()).replace(" ", "_"))
    if not folder.strip(".-"):
        raise Refusal(400, "Not a valid name")
    return folder


def folder_key(folder: str) -> str:
    """Give what must be unique of a folder: some file systems and all images know no case."""
    return unicodedata.normalize("NFKC", folder).casefold()
