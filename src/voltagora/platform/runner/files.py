"""A service's uploaded files: which names are taken, and the folder they lie in."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from voltagora.platform.registry.refusals import Refusal

MOST_NAME_BYTES: Final = 200
MOST_PATH: Final = 1_024
MOST_DEPTH: Final = 16
MOST_FILES: Final = 10_000
MOST_BYTES: Final = 512 * 1024 * 1024
_NAMES: Final = "names.json"


def disk_path(name: str) -> PurePosixPath:
    r"""Give the path on disk of an uploaded name: spaces become `_`, then only `[-\w.]` stays.

    What climbs, is absolute or holds control characters is not mended but refused: nobody means it.

    Raises:
        Refusal: 400.
    """
    if (
        not name
        or len(name) > MOST_PATH
        or name.startswith("/")
        or "\\" in name
        or re.match(r"[A-Za-z]:", name)
    ):
        raise Refusal(400, f"Not a valid file name: {_shown(name)}")
    if any(unicodedata.category(each) in ("Cc", "Cs", "Cf", "Zl", "Zp") for each in name):
        raise Refusal(400, f"Not a valid file name: {_shown(name)}")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    cleaned = []
    for part in parts:
        clean = re.sub(r"[^-\w.]", "", unicodedata.normalize("NFC", part).replace(" ", "_"))
        if ".." in part.split("/") or not clean.strip(".-") or len(clean.encode()) > MOST_NAME_BYTES:
            raise Refusal(400, f"Not a valid file name: {_shown(name)}")
        cleaned.append(clean)
    if not cleaned or len(cleaned) > MOST_DEPTH:
        raise Refusal(400, f"Not a valid file name: {_shown(name)}")
    return PurePosixPath(*cleaned)


def _shown(name: str) -> str:
    return ascii(name[:80])


class Files:
    """The uploaded files of one service, and by which names they came.

    Args:
        folder: of the service; made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"

    def names(self) -> tuple[str, ...]:
        """Give the paths of all files, sorted."""
        if not self.files.is_dir():
            return ()
        found = (path for path in self.files.rglob("*") if path.is_file())
        return tuple(sorted(path.relative_to(self.files).as_posix() for path in found))

    def incoming(self) -> Path:
        """Make a folder beside the files for what is on its way in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="incoming-", dir=self.folder))

    def take(self, incoming: Path, names: Iterable[tuple[PurePosixPath, str]]) -> None:
        """Move files in, all or none.

        Args:
            incoming: folder where they lie under their paths on disk.
            names: paths on disk, each with the name it came by.

        Raises:
            Refusal: 400, two names would be one file, or there is too much.
        """
        wanted = dict(names)
        origins = self._origins()
        held = {path.casefold(): path for path in self.names()}
        for path, origin in wanted.items():
            there = held.get(str(path).casefold())
            if there is not None and (there != str(path) or origins.get(there, there) != origin):
                raise Refusal(400, f"{_shown(origin)} would replace {_shown(origins.get(there, there))}")
            for parent in path.parents[:-1]:
                if str(parent).casefold() in held:
                    raise Refusal(400, f"{_shown(origin)} would replace the file {_shown(str(parent))}")
            if any(each.startswith(f"{str(path).casefold()}/") for each in held):
                raise Refusal(400, f"{_shown(origin)} would replace a folder")
        self._check_room(incoming, wanted)
        for path, origin in wanted.items():
            target = self.files / path
            target.parent.mkdir(parents=True, exist_ok=True)
            (incoming / path).replace(target)
            origins[str(path)] = origin
        self._keep_origins(origins)

    def remove(self, name: str) -> None:
        """Remove one file.

        Raises:
            Refusal: 400, there is none.
        """
        if name not in self.names():
            raise Refusal(400, f"No such file: {_shown(name)}")
        (self.files / name).unlink()
        self._keep_origins({path: origin for path, origin in self._origins().items() if path != name})

    def copy_to(self, other: Files) -> None:
        """Copy all but logs into another service's folder."""
        incoming = other.incoming()
        try:
            origins, taken = self._origins(), []
            for name in self.names():
                if ".log" in PurePosixPath(name).name:
                    continue
                target = incoming / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.files / name, target)
                taken.append((PurePosixPath(name), origins.get(name, name)))
            other.take(incoming, taken)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)

    def _check_room(self, incoming: Path, wanted: dict[PurePosixPath, str]) -> None:
        names = {*self.names(), *map(str, wanted)}
        size = sum((incoming / path).stat().st_size for path in wanted)
        size += sum((self.files / name).stat().st_size for name in names if PurePosixPath(name) not in wanted)
        if len(names) > MOST_FILES or size > MOST_BYTES:
            raise Refusal(400, f"A service has at most {MOST_FILES} files and {MOST_BYTES >> 20} MiB")

    def _origins(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self.folder / _NAMES).read_text())
        except FileNotFoundError:
            return {}
        return found

    def _keep_origins(self, origins: dict[str, str]) -> None:
        fresh = self.folder / f"{_NAMES}.new"
        fresh.write_text(json.dumps(origins))
        fresh.replace(self.folder / _NAMES)
