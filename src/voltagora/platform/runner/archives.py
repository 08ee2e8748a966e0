"""Archives that somebody uploaded: unpacked whole or not at all, counted while they inflate."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.files import MOST_BYTES, MOST_FILES, disk_path

SUFFIXES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
_MOST_RATIO: Final = 200
_RATIO_FREE_BYTES: Final = 4 * 1024 * 1024
"""Small archives of zeros shrink by more than any ratio."""
_MOST_DIRECTORY_BYTES: Final = 8 * 1024 * 1024
_MOST_HEADER: Final = 256 * 1024
_PIECE: Final = 64 * 1024
_ZIP_END: Final = b"PK\x05\x06"
_ZIP64_LOCATOR: Final = b"PK\x06\x07"


def is_archive(name: str) -> bool:
    """Whether a file of this name is unpacked."""
    return name.lower().endswith(SUFFIXES)


def unpack(archive: Path, target: Path) -> list[tuple[PurePosixPath, str]]:
    """Unpack an archive into an empty folder.

    Args:
        archive: a file; zip or tar, plain or with gzip or bzip2, by its content.
        target: the folder.

    Returns:
        Paths on disk, each with the name in the archive. If all lies in one folder with the
        Dockerfile in it, that folder is left out.

    Raises:
        Refusal: 400, an entry is none that a service needs, or there is too much.
    """
    taken = _Taken(archive.stat().st_size)
    try:
        with archive.open("rb") as file:
            entries = _zip_entries(file) if zipfile.is_zipfile(archive) else _tar_entries(file)
            for name, mode, content in entries:
                taken.write(target, name, mode, content)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
        raise Refusal(400, f"Not a valid archive: {error}") from None
    except (ValueError, RuntimeError, NotImplementedError, OverflowError, UnicodeError) as error:
        if isinstance(error, Refusal):
            raise
        raise Refusal(400, f"Not a valid archive: {error}") from None
    if not taken.names:
        raise Refusal(400, "Not a valid archive: there is no file in it")
    return _without_outer_folder(target, taken.names)


class _Taken:
    """What was unpacked so far."""

    def __init__(self, archive_bytes: int) -> None:
        self.names: dict[PurePosixPath, str] = {}
        self._keys: set[str] = set()
        self._folders: set[str] = set()
        self._bytes = 0
        self._most = min(MOST_BYTES, _RATIO_FREE_BYTES + archive_bytes * _MOST_RATIO)

    def write(self, target: Path, name: str, mode: int, content: IO[bytes]) -> None:
        path = disk_path(name)
        key = str(path).casefold()
        folders = {str(parent).casefold() for parent in path.parents[:-1]}
        if key in self._keys or key in self._folders or folders & self._keys:
            raise Refusal(400, f"Not a valid archive: two entries would be one file: {name[:80]!r}")
        if len(self._keys) >= MOST_FILES:
            raise Refusal(400, f"Not a valid archive: more than {MOST_FILES} files")
        self._keys.add(key)
        self._folders |= folders
        there = target / path
        there.parent.mkdir(parents=True, exist_ok=True)
        with there.open("xb") as file:
            while piece := content.read(_PIECE):
                self._bytes += len(piece)
                if self._bytes > self._most:
                    raise Refusal(400, "Not a valid archive: it inflates to more than is allowed")
                file.write(piece)
        there.chmod(0o755 if mode & 0o111 else 0o644)
        self.names[path] = name


_Entry = tuple[str, int, IO[bytes]]


def _zip_entries(file: IO[bytes]) -> Iterator[_Entry]:
    _check_zip_directory(file)
    with zipfile.ZipFile(file) as archive:
        infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
        if len(infos) > MOST_FILES * 2:
            raise Refusal(400, f"Not a valid archive: more than {MOST_FILES} files")
        end = 0
        for info in infos:
            if info.header_offset < end:
                raise Refusal(400, "Not a valid archive: its entries overlap")
            end = info.header_offset + info.compress_size
        for info in infos:
            mode = info.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if info.is_dir() and kind in (0, stat.S_IFDIR):
                disk_path(info.filename)
                continue
            # A name that was cut at a NUL, or changed by the reader, is not what somebody packed.
            if kind not in (0, stat.S_IFREG) or info.orig_filename != info.filename:
                raise Refusal(400, f"Not a plain file: {info.filename[:80]!r}")
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refusal(400, f"Packed in a way that is not taken: {info.filename[:80]!r}")
            with archive.open(info) as content:
                yield info.filename, mode, content


def _check_zip_directory(file: IO[bytes]) -> None:
    """Look at how long the list of entries is before a library reads it all into memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - 65_557))
    tail = file.read()
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) < at + 22:
        raise Refusal(400, "Not a valid archive")
    length = struct.unpack_from("<I", tail, at + 12)[0]
    if length > _MOST_DIRECTORY_BYTES or _ZIP64_LOCATOR in tail[max(0, at - 20) : at]:
        raise Refusal(400, f"Not a valid archive: more than {MOST_FILES} files")
    file.seek(0)


def _tar_entries(file: IO[bytes]) -> Iterator[_Entry]:
    start = file.read(4)
    file.seek(0)
    inflated: IO[bytes] = file
    if start[:2] == b"\x1f\x8b":
        inflated = cast(IO[bytes], gzip.GzipFile(fileobj=file))
    elif start[:3] == b"BZh":
        inflated = cast(IO[bytes], bz2.BZ2File(file))
    reader = _Counted(inflated)
    seen = 0
    with tarfile.open(fileobj=reader, mode="r|", errorlevel=2) as archive:  # type: ignore[call-overload]
        while (member := archive.next()) is not None:
            # The library remembers every member; what was seen is of no more use.
            archive.members.clear()
            reader.content(member.size)
            seen += 1
            if seen > MOST_FILES * 2 or member.size > MOST_BYTES:
                raise Refusal(400, "Not a valid archive: it inflates to more than is allowed")
            if member.isdir():
                if member.name not in (".", "./"):
                    disk_path(member.name)
                reader.next_entry()
                continue
            if not member.isreg() or member.issparse():
                raise Refusal(400, f"Not a plain file: {member.name[:80]!r}")
            content = archive.extractfile(member)
            assert content is not None
            yield member.name, member.mode, content
            reader.next_entry()


class _Counted:
    """A stream that gives no more than is allowed, in all and until the next entry.

    What a library keeps of headers in memory is so bounded, whatever the headers say.
    """

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner
        self._left = MOST_BYTES + MOST_FILES * 2_048
        self._allowed = _MOST_HEADER

    def next_entry(self) -> None:
        """Allow a header."""
        self._allowed = _MOST_HEADER

    def content(self, size: int) -> None:
        """Allow a content."""
        self._allowed += size

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            raise Refusal(400, "Not a valid archive: a header is too long")
        piece = self._inner.read(size)
        self._left -= len(piece)
        self._allowed -= len(piece)
        if self._left < 0:
            raise Refusal(400, "Not a valid archive: it inflates to more than is allowed")
        if self._allowed < 0:
            raise Refusal(400, "Not a valid archive: a header is too long")
        return piece


def _without_outer_folder(target: Path, names: dict[PurePosixPath, str]) -> list[tuple[PurePosixPath, str]]:
    tops = {path.parts[0] for path in names}
    (top, *others) = tops
    if others or PurePosixPath(top, "Dockerfile") not in names:
        return list(names.items())
    # Moved aside first: the folder may hold something of its own name.
    outer = target.with_name(f"{target.name}-outer")
    (target / top).rename(outer)
    for each in outer.iterdir():
        each.rename(target / each.name)
    outer.rmdir()
    return [(PurePosixPath(*path.parts[1:]), name.partition("/")[2]) for path, name in names.items()]
