"""Reads the simple lines of a Dockerfile, so that a service needs no container engine.

Taken are `FROM python:X.Y[...]`, `COPY`, `ADD`, `WORKDIR`, `ENV`, `RUN pip install ...`,
`RUN mkdir ...`, `CMD` and `ENTRYPOINT`. What changes nothing in a sandbox (`LABEL`, `MAINTAINER`,
`EXPOSE`, `STOPSIGNAL`) is passed over. Any other line is refused by its number.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from pathlib import Path
from typing import Final

import msgspec

from voltagora.platform.registry.refusals import Refusal

_FROM: Final = re.compile(r"(?:docker\.io/)?(?:library/)?python(?::([\w][\w.-]*))?(?:\s+as\s+\S+)?\Z", re.I)
_VERSION: Final = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-[\w.-]+)?\Z")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_IGNORED: Final = frozenset(("LABEL", "MAINTAINER", "EXPOSE", "STOPSIGNAL"))
_OUR_VARIABLES: Final = re.compile(r"(username|password|run_params|BROKER|CLIENT_NAME|(in|out)_topic_\d+)\Z")
_LOADER: Final = ("LD_", "GLIBC_", "MALLOC_")
MOST_BYTES: Final = 64 * 1024


class Copy(msgspec.Struct, frozen=True):
    """Files of the folder and where they go; both as paths, the target absolute."""

    line: int
    sources: tuple[str, ...]
    target: str
    into: bool
    """The target is a folder."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What a Dockerfile says.

    Attributes:
        python: as far as it is named: `(3, 8)`, `(3, 8, 5)`, `(3,)`.
        installs: arguments of each `pip install`, with the line and the folder it runs in.
        folders: folders to make.
        command: argument list.
        notes: lines that were passed over.
    """

    python: tuple[int, ...]
    copies: tuple[Copy, ...] = ()
    installs: tuple[tuple[int, str, tuple[str, ...]], ...] = ()
    folders: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    directory: str = "/"
    command: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read(file: Path) -> Recipe:
    """Read a Dockerfile.

    Raises:
        Refusal: 400, there is none, or a line is none that we understand.
    """
    if not file.is_file() or file.is_symlink():
        raise Refusal(400, "Cannot locate specified Dockerfile: Dockerfile")
    if file.stat().st_size > MOST_BYTES:
        raise Refusal(400, f"Dockerfile: longer than {MOST_BYTES} bytes")
    try:
        text = file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Refusal(400, "Dockerfile: not UTF-8") from None
    return _Reading().read(text)


class _Reading:
    def __init__(self) -> None:
        self.python: tuple[int, ...] | None = None
        self.copies: list[Copy] = []
        self.installs: list[tuple[int, str, tuple[str, ...]]] = []
        self.folders: list[str] = []
        self.environment: dict[str, str] = {}
        self.directory = "/"
        self.command: tuple[str, ...] = ()
        self.entry: tuple[str, ...] = ()
        self.notes: list[str] = []

    def read(self, text: str) -> Recipe:
        for number, line in _lines(text):
            self._read_line(number, line)
        if self.python is None:
            raise Refusal(400, "Dockerfile: there is no line FROM python:X.Y")
        command = self.entry + self.command
        if not command:
            raise Refusal(400, "Dockerfile: there is neither CMD nor ENTRYPOINT")
        return Recipe(
            python=self.python,
            copies=tuple(self.copies),
            installs=tuple(self.installs),
            folders=tuple(self.folders),
            environment=self.environment,
            directory=self.directory,
            command=command,
            notes=tuple(self.notes),
        )

    def _read_line(self, number: int, line: str) -> None:
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if self.python is None and word not in ("FROM", *_IGNORED):
            raise _refused(number, line, "the first line must be FROM python:X.Y")
        if word in _IGNORED:
            self.notes.append(f"line {number}: {word} changes nothing here")
            return
        reader = getattr(self, f"_{word.lower()}", None)
        if not re.fullmatch(r"FROM|COPY|ADD|WORKDIR|ENV|RUN|CMD|ENTRYPOINT", word) or reader is None:
            raise _refused(number, line, f"{word[:40]} is not understood without a container engine")
        try:
            reader(number, line, rest)
        except ValueError as error:
            if isinstance(error, Refusal):
                raise
            raise _refused(number, line, str(error)) from None

    def _from(self, number: int, line: str, rest: str) -> None:
        if self.python is not None:
            raise _refused(number, line, "only one FROM is understood")
        found = _FROM.match(rest)
        if found is None:
            raise _refused(number, line, "only images named python:X.Y are understood")
        tag = found[1] or "3"
        version = _VERSION.match(tag)
        if version is None:
            if tag.split("-")[0] not in ("latest", "slim", "alpine", "bookworm", "bullseye", "buster"):
                raise _refused(number, line, "the tag must begin with a version, such as python:3.11-slim")
            self.python = (3,)
            return
        self.python = tuple(int(part) for part in version.groups() if part is not None)
        if self.python[0] != 3:
            raise _refused(number, line, "only Python 3 is run")

    def _copy(self, number: int, line: str, rest: str) -> None:
        words = _exec_form(rest) or shlex.split(rest)
        options = [word for word in words if word.startswith("--")]
        if any(not option.startswith(("--chown=", "--chmod=")) for option in options):
            raise _refused(number, line, f"{options[0][:40]} is not understood")
        words = [word for word in words if not word.startswith("--")]
        if len(words) < 2:
            raise _refused(number, line, "at least one file and a place are needed")
        *sources, target = words
        for source in sources:
            if "://" in source or source.startswith("git@"):
                raise _refused(number, line, "files come from the service's folder only")
            inside = posixpath.normpath(source.lstrip("/") or ".")
            if "$" in source:
                raise _refused(number, line, "variables in paths are not understood")
            if inside.startswith(".."):
                raise _refused(number, line, "files come from the service's folder only")
        into = target.endswith("/") or len(sources) > 1 or target in (".", "./")
        self.copies.append(Copy(number, tuple(sources), self._absolute(target), into))

    _add = _copy

    def _workdir(self, number: int, line: str, rest: str) -> None:
        words = shlex.split(rest)
        if len(words) != 1:
            raise _refused(number, line, "one folder is needed")
        self.directory = self._absolute(words[0])
        self.folders.append(self.directory)

    def _env(self, number: int, line: str, rest: str) -> None:
        words = shlex.split(rest)
        if words and "=" not in words[0]:
            name, _, value = rest.partition(" ")
            pairs = [(name, value.strip())]
        else:
            pairs = [(name, value) for name, _, value in (word.partition("=") for word in words)]
        for name, value in pairs:
            if not _VARIABLE.match(name) or "\0" in value:
                raise _refused(number, line, "NAME=value is needed")
            if _OUR_VARIABLES.match(name) or name.startswith(_LOADER) or name == "PATH":
                raise _refused(number, line, f"{name} is set by the platform")
            self.environment[name] = value

    def _run(self, number: int, line: str, rest: str) -> None:
        words = _exec_form(rest)
        commands = [words] if words is not None else _and_lists(rest)
        for command in commands:
            install = _pip_install(command)
            if install is not None:
                self.installs.append((number, self.directory, install))
            elif command[:1] == ["mkdir"] and len(command) > 1:
                names = [word for word in command[1:] if word not in ("-p", "--parents")]
                self.folders += [self._absolute(name) for name in names if not name.startswith("-")]
            else:
                raise _refused(number, line, "RUN is understood for `pip install ...` and `mkdir ...` only")

    def _cmd(self, number: int, line: str, rest: str) -> None:  # noqa: ARG002 - readers share parameters
        self.command = tuple(_exec_form(rest) or ["/bin/sh", "-c", rest])

    def _entrypoint(self, number: int, line: str, rest: str) -> None:  # noqa: ARG002
        self.entry = tuple(_exec_form(rest) or ["/bin/sh", "-c", rest])
        # As with an engine: a new ENTRYPOINT forgets the CMD, and one of shell form takes no arguments.
        self.command = ()

    def _absolute(self, path: str) -> str:
        if "$" in path or "\0" in path:
            raise ValueError("variables in paths are not understood")
        return posixpath.normpath(posixpath.join(self.directory, path))


def _lines(text: str) -> list[tuple[int, str]]:
    """Give the lines that say something, continued ones joined, each with the number it begins at."""
    found: list[tuple[int, str]] = []
    pending, began = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip().replace("\t", " ")
        if not line or line.startswith("#"):
            continue
        began = began if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        found.append((began, pending + line))
        pending = ""
    if pending:
        found.append((began, pending.strip()))
    return found


def _exec_form(rest: str) -> list[str] | None:
    if not rest.startswith("["):
        return None
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return None
    if any("\0" in word for word in words):
        raise ValueError("there is a NUL in it")
    return words


def _and_lists(rest: str) -> list[list[str]]:
    """Split `a && b`; anything else that a shell would see is left in, and refused as a word."""
    lexer = shlex.shlex(rest, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            commands.append([])
        elif re.fullmatch(r"[();<>|&]+", word):
            raise ValueError(f"{word} is not understood: the line is not given to a shell")
        else:
            commands[-1].append(word)
    return commands


def _pip_install(words: list[str]) -> tuple[str, ...] | None:
    if words[:1] in (["python"], ["python3"]) and words[1:2] == ["-m"]:
        words = words[2:]
    if words[:1] not in (["pip"], ["pip3"]) or "install" not in words[1:2]:
        return None
    return tuple(words[2:])


def _refused(number: int, line: str, why: str) -> Refusal:
    return Refusal(400, f"Dockerfile line {number}: {why}: {line[:120]}")
