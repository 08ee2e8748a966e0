"""What a build installs: requirements that name packages of the index or wheels in the folder, only."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from voltagora.platform.registry.refusals import Refusal

MOST_LINES: Final = 1_000
MOST_BYTES: Final = 48 * 1024
MOST_NESTING: Final = 5
_HASH: Final = re.compile(r"--hash=(sha256|sha384|sha512):[0-9a-f]{64,128}\Z")
_LOCAL: Final = re.compile(r"(?:\./)?[\w./+-]+\.(?:whl|tar\.gz|zip)(\[[\w, .-]*\])?\Z")
_HARMLESS: Final = frozenset(
    (
        *("--no-cache-dir", "--upgrade", "-U", "--quiet", "-q", "-v", "--verbose", "--no-input", "--user"),
        *("--disable-pip-version-check", "--prefer-binary", "--no-warn-script-location", "--pre"),
        "--no-deps",
    )
)
_KEPT: Final = ("--upgrade", "-U", "--prefer-binary", "--pre", "--no-deps")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be installed.

    Attributes:
        lines: one requirement each; local files as paths relative to the service's folder.
        options: of pip, that change what is installed.
        local: digest of each local file.
    """

    lines: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    local: dict[str, str] = {}

    def digest(self, python: str) -> str:
        """Give the name of the environment that this makes; equal wishes have equal names."""
        what = [python, sorted(set(self.lines)), sorted(set(self.options)), sorted(self.local.items())]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]


def wanted(folder: Path, installs: tuple[tuple[int, str, tuple[str, ...]], ...], copied: Copied) -> Wanted:
    """Read the arguments of all `pip install` of a Dockerfile.

    Args:
        folder: the service's files.
        installs: line, folder it runs in, and arguments of each.
        copied: finds the file of the service that lies at a path in the image.

    Raises:
        Refusal: 400, something else than the index or the folder is asked for.
    """
    reading = _Reading(folder, copied)
    for line, directory, arguments in installs:
        reading.arguments(f"Dockerfile line {line}", directory, list(arguments))
    return Wanted(
        lines=tuple(dict.fromkeys(reading.lines)),
        options=tuple(dict.fromkeys(reading.options)),
        local=reading.local,
    )


class Copied:
    """Which file of the service lies where in the image."""

    def __init__(self, places: dict[str, Path]) -> None:
        self._places = places

    def find(self, directory: str, name: str) -> Path | None:
        """Give the file that a path means, seen from a folder of the image."""
        return self._places.get(posixpath.normpath(posixpath.join(directory, name)))


class _Reading:
    def __init__(self, folder: Path, copied: Copied) -> None:
        self._folder = folder
        self._copied = copied
        self.lines: list[str] = []
        self.options: list[str] = []
        self.local: dict[str, str] = {}

    def arguments(self, where: str, directory: str, words: list[str]) -> None:
        """Read what stands behind `pip install`."""
        waiting = iter(words)
        for word in waiting:
            if word in ("-r", "--requirement"):
                self._file(where, directory, next(waiting, ""), 0)
            elif word.startswith("--requirement="):
                self._file(where, directory, word.partition("=")[2], 0)
            elif word.startswith("-r") and len(word) > 2:
                self._file(where, directory, word[2:], 0)
            elif word in _HARMLESS:
                self.options += [word] if word in _KEPT else []
            elif word.startswith("-"):
                raise _refused(where, word, "this option of pip is not taken")
            else:
                self._requirement(where, directory, word)

    def _file(self, where: str, directory: str, name: str, depth: int) -> None:
        found = self._copied.find(directory, name) if name and not name.startswith("/") else None
        found = found or (self._copied.find("/", name) if name.startswith("/") else None)
        if found is None or depth > MOST_NESTING:
            raise _refused(where, f"-r {name}", "requirements come from the service's own files only")
        if found.stat().st_size > MOST_BYTES:
            raise _refused(where, f"-r {name}", f"at most {MOST_BYTES} bytes are read")
        try:
            text = found.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise _refused(where, f"-r {name}", "it must be UTF-8") from None
        below = posixpath.dirname(posixpath.join(directory, name))
        for number, line in _logical_lines(text):
            here = f"{found.name} line {number}"
            if line.startswith(("-r", "--requirement")):
                self._file(
                    here, below, line.removeprefix("--requirement").removeprefix("-r").strip(" ="), depth + 1
                )
            elif line in ("--prefer-binary", "--pre"):
                self.options.append(line)
            else:
                self._requirement(here, below, line)
            if len(self.lines) > MOST_LINES:
                raise _refused(here, line, f"at most {MOST_LINES} requirements are taken")

    def _requirement(self, where: str, directory: str, line: str) -> None:
        if line.startswith("-"):
            raise _refused(
                where, line, "options of pip are not taken, packages come from the configured index"
            )
        words = line.split()
        hashes = [word for word in words if word.startswith("--")]
        if not all(_HASH.match(word) for word in hashes):
            raise _refused(
                where, line, "options of pip are not taken, packages come from the configured index"
            )
        text = " ".join(word for word in words if not word.startswith("--"))
        if _LOCAL.match(text):
            self._local(where, directory, text)
            return
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            raise _refused(
                where, line, "it must be a package's name with a version, or a wheel in the folder"
            ) from None
        if requirement.url:
            raise _refused(where, line, "addresses are not taken, packages come from the configured index")
        requirement.name = canonicalize_name(requirement.name)
        self.lines.append(" ".join([str(requirement), *sorted(hashes)]))

    def _local(self, where: str, directory: str, text: str) -> None:
        name, bracket, extras = text.partition("[")
        found = self._copied.find(directory, name)
        if found is None:
            raise _refused(where, text, "there is no such file in the service's folder")
        path = found.relative_to(self._folder).as_posix()
        self.local[path] = hashlib.sha256(found.read_bytes()).hexdigest()
        self.lines.append(f"./{path}{bracket}{extras}")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give lines without comments, continued ones joined, as pip reads them."""
    pending, began = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        began = began if pending else number
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        whole = re.sub(r"(^|\s+)#.*$", "", pending + line).strip()
        pending = ""
        if whole:
            yield began, whole
    if pending.strip():
        yield began, pending.strip()


def loosened(lines: tuple[str, ...], *, within_major: bool) -> tuple[str, ...]:
    """Give requirements whose exact pins are lower bounds, up to the next major version or without end."""
    found = []
    for line in lines:
        pin = re.fullmatch(r"([\w.-]+(?:\[[^\]]*\])?)==(\d+)((?:\.\d+)*)", line)
        if pin is None:
            found.append(line)
        else:
            bound = f",<{int(pin[2]) + 1}" if within_major else ""
            found.append(f"{pin[1]}>={pin[2]}{pin[3]}{bound}")
    return tuple(found)


def _refused(where: str, what: str, why: str) -> Refusal:
    return Refusal(400, f"{where}: {why}: {what[:120]}")
