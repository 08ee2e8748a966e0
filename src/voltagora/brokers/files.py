"""Files that a broker reads: whole at any moment, and their owner's alone, as passwords are in them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def replace(path: Path, lines: Iterable[str]) -> None:
    """Write a file beside its place and put it there whole, with the access that the one before had."""
    aside = path.with_name(f".{path.name}.new")
    aside.unlink(missing_ok=True)
    try:
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            _keep_access(path, descriptor)
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(descriptor)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _keep_access(path: Path, descriptor: int) -> None:
    """Let a broker of another user go on reading a file that it was given."""
    try:
        before = path.stat()
    except FileNotFoundError:
        return
    if hasattr(os, "fchown"):  # Windows keeps access with the folder.
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, before.st_mode & 0o777)
