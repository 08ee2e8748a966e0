"""Builds: what a service's Dockerfile says, made into files and an environment that can be run."""

from __future__ import annotations

import posixpath
import shutil
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner import dockerfile, pythons
from voltagora.platform.runner.dockerfile import Recipe
from voltagora.platform.runner.files import Files
from voltagora.platform.runner.interface import Build
from voltagora.platform.runner.requirements import Copied, Wanted, wanted
from voltagora.platform.runner.sandbox import RESERVED

KEPT_BUILDS: Final = 5
BUILD_LOG: Final = "buildImage.log"
_MADE: Final = "build.json"


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """One build as it is written down.

    Attributes:
        environment: folder of the environment; empty: a container engine runs `image`.
        prefix, interpreter: of the Python.
    """

    version: int
    built_at: float
    recipe: Recipe
    python: str
    prefix: str = ""
    interpreter: str = ""
    environment: str = ""
    image: str = ""
    notes: tuple[str, ...] = ()


class Builds:
    """The builds of one service.

    Args:
        folder: of the service.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "builds"
        self._current = folder / "builds" / "current"
        self._log = folder / BUILD_LOG

    @property
    def log(self) -> Path:
        """What the last build said."""
        return self._log

    def all(self) -> list[Made]:
        """Give all that are whole, the newest first."""
        found = []
        if self._folder.is_dir():
            for file in self._folder.glob(f"*/{_MADE}"):
                try:
                    found.append(msgspec.json.decode(file.read_bytes(), type=Made))
                except (OSError, ValueError):
                    # A build of another version of the platform, or half removed: it is built anew.
                    continue
        return sorted(found, key=lambda made: -made.version)

    def current(self) -> Made | None:
        """Give the one that the next start takes."""
        try:
            version = int(self._current.read_text())
        except (OSError, ValueError):
            return None
        return next((made for made in self.all() if made.version == version), None)

    def listed(self) -> tuple[Build, ...]:
        """Give them as others see them."""
        current = self.current()
        return tuple(
            Build(
                version=made.version,
                built_at=made.built_at,
                python=made.python,
                current=made == current,
                notes=made.notes,
            )
            for made in self.all()
        )

    def make_current(self, version: int) -> None:
        """Let the next start take a version.

        Raises:
            Refusal: 400, there is none.
        """
        if all(made.version != version for made in self.all()):
            raise Refusal(400, f"There is no build {version}")
        self._point_to(version)

    def drop_current(self) -> None:
        """Have no build that can be run; older ones can be gone back to."""
        self._current.unlink(missing_ok=True)

    def files_of(self, made: Made) -> Path:
        """Give the files of a build, laid out as in the image."""
        return self._folder / str(made.version) / "files"

    def keep(self, made: Made, places: dict[str, Path], folders: list[str]) -> None:
        """Write a build down and make it the current one.

        Args:
            made: the build; its version is not taken yet.
            places: path in the image, and the file that lies there.
            folders: folders to make.
        """
        there = self._folder / str(made.version)
        shutil.rmtree(there, ignore_errors=True)
        for folder in folders:
            (there / "files" / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        (there / "files").mkdir(parents=True, exist_ok=True)
        for place, source in places.items():
            target = there / "files" / place.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
        (there / _MADE).write_bytes(msgspec.json.encode(made))
        self._point_to(made.version)
        for old in self.all()[KEPT_BUILDS:]:
            shutil.rmtree(self._folder / str(old.version), ignore_errors=True)

    def next_version(self) -> int:
        """Give a version that was never used."""
        if not self._folder.is_dir():
            return 1
        used = [int(path.name) for path in self._folder.iterdir() if path.name.isdecimal()]
        return max(used, default=0) + 1

    def _point_to(self, version: int) -> None:
        fresh = self._current.with_name("current.new")
        fresh.write_text(str(version))
        fresh.replace(self._current)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a build will do; everything that can be refused was refused.

    Attributes:
        places: path in the image, and the file of the service that goes there.
    """

    recipe: Recipe
    python: pythons.Python
    wanted: Wanted
    places: dict[str, Path]
    notes: tuple[str, ...] = ()


def plan(files: Files, found: tuple[pythons.Python, ...], *, nearest_python: bool) -> Plan:
    """Read what is to be built.

    Raises:
        Refusal: 400, something in the Dockerfile or the requirements is not taken.
    """
    recipe = dockerfile.read(files.files / "Dockerfile")
    places = _places(files, recipe)
    python, note = pythons.pick(found, recipe.python, nearest=nearest_python)
    needs = wanted(files.files, recipe.installs, Copied(places))
    notes = (*recipe.notes, note) if note else recipe.notes
    return Plan(recipe=recipe, python=python, wanted=needs, places=places, notes=notes)


def _places(files: Files, recipe: Recipe) -> dict[str, Path]:
    """Lay the files out as COPY says; later lines replace earlier ones.

    Raises:
        Refusal: 400, a file is not there or would go where the system lies.
    """
    names = files.names()
    for folder in recipe.folders:
        _check_place(folder, 0)
    places: dict[str, Path] = {}
    for copy in recipe.copies:
        for source in copy.sources:
            matched = list(_matching(source, names))
            if not matched:
                raise Refusal(400, f"Dockerfile line {copy.line}: there is no file {source[:120]!r}")
            for name, below in matched:
                # A file keeps its name in a folder; a folder's content goes into the target itself.
                into = copy.into or len(matched) > 1 or _is_folder(source, name)
                place = posixpath.join(copy.target, below) if into else copy.target
                _check_place(place, copy.line)
                places[place] = files.files / name
    return places


def _is_folder(source: str, name: str) -> bool:
    inside = posixpath.normpath(source.lstrip("/") or ".")
    return inside == "." or name.startswith(f"{inside}/")


def _matching(source: str, names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Give files that a source of COPY means, each with its path below the target."""
    inside = posixpath.normpath(source.lstrip("/") or ".")
    if inside == ".":
        return [(name, name) for name in names]
    if any(sign in inside for sign in "*?["):
        depth = inside.count("/")
        return [
            (name, posixpath.basename(name))
            for name in names
            if name.count("/") == depth and PurePosixPath(name).match(inside)
        ]
    if inside in names:
        return [(inside, posixpath.basename(inside))]
    return [(name, name[len(inside) + 1 :]) for name in names if name.startswith(f"{inside}/")]


def _check_place(place: str, line: int) -> None:
    top = place.lstrip("/").split("/")[0]
    if top in RESERVED and not f"{place}/".startswith("/usr/src/"):
        where = f"Dockerfile line {line}" if line else "Dockerfile"
        raise Refusal(400, f"{where}: {place[:120]!r} would replace a part of the system")
