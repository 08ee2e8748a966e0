"""The folder of a run: written whole or not at all, and read back.

Everything is written into a hidden sibling, forced to disk, and renamed into place last; a
crash at any moment leaves either the old folder, or the new one, or a hidden `.partial` one
that `read` refuses.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from voltagora.domain.errors import InputError, RunError
from voltagora.domain.units import Time
from voltagora.results.collector import Span

MANIFEST = "run.json"
TIMING = "timing.json"
REQUIRED = ("sessions", "slots", "vehicles", "refusals", "needs", "stations", "ledger", "message_counts")
OPTIONAL = ("messages",)


def write(
    directory: Path | str,
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    *,
    files: Mapping[str, bytes] | None = None,
    timing: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Store a run.

    Args:
        directory: the folder to make.
        manifest: the content of run.json, metrics included.
        tables: one Parquet file each.
        files: further files by relative path, such as the report.
        timing: what depends on the machine, for timing.json.
        force: replace an earlier result of that name.

    Raises:
        InputError: the folder exists, and `force` is not given or it is no result of ours.
        RunError: the disk refused; nothing is left behind.
    """
    target = Path(os.path.abspath(directory))  # noqa: PTH100 (a link is to be replaced, not followed)
    check_free(target, force=force)
    partial: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
        _fill(partial, manifest, tables, files or {}, timing)
        _put(partial, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(
            f"{directory}: the result could not be stored ({reason}); nothing was left there"
        ) from error
    finally:
        # Also on Ctrl-C: what is half written must not stay.
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return target


def check_free(directory: Path | str, *, force: bool = False) -> None:
    """Refuse a folder that a run must not write to; call it before the work, not after.

    An empty folder is free. With `force` an earlier result is too, but never a folder that holds
    anything else, so that a slip of the pen cannot delete a home.

    Raises:
        InputError: naming the folder.
    """
    path = Path(directory)
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_dir():
        raise InputError("--out", str(directory), "the name of a folder; there is a file of that name")
    if not any(path.iterdir()):
        return
    if not force:
        raise InputError(
            "--out", str(directory), "a folder that does not exist yet (--force replaces a result)"
        )
    if not (path / MANIFEST).is_file():
        raise InputError(
            "--out", str(directory), f"an earlier result: without {MANIFEST} it is never replaced"
        )


def read(directory: Path | str) -> tuple[dict[str, Any], dict[str, pa.Table], dict[str, Any] | None]:
    """Read a folder back: the manifest, the tables and the timing, if any.

    Raises:
        InputError: it is not the folder of a run, or a file of it is missing or damaged.
    """
    path = Path(directory)
    if not path.is_dir():
        raise InputError("DIR", str(directory), "the folder of a run (voltagora run SCENARIO --out DIR)")
    if not (path / MANIFEST).is_file() or path.name.endswith(".partial"):
        raise InputError("DIR", str(directory), f"the folder of a finished run; it has no {MANIFEST}")
    manifest = _read_json(path / MANIFEST)
    for field in ("metrics", "span"):
        if not isinstance(manifest.get(field), dict):
            raise InputError(
                f"{path / MANIFEST}: {field}", manifest.get(field), "an object, as a run writes it"
            )
    tables = {name: _read_table(path / f"{name}.parquet") for name in REQUIRED}
    for name in OPTIONAL:
        if (path / f"{name}.parquet").is_file():
            tables[name] = _read_table(path / f"{name}.parquet")
    timing = _read_json(path / TIMING) if (path / TIMING).is_file() else None
    return manifest, tables, timing


def span_to_json(span: Span) -> dict[str, str]:
    """Write a span as run.json holds it."""
    return {"start": str(Time(span.start)), "end": str(Time(span.end)), "time_zone": span.time_zone}


def span_from_json(value: Mapping[str, Any]) -> Span:
    """Read a span out of run.json.

    Raises:
        InputError: it is not one.
    """
    try:
        start, end, zone = Time.parse(value["start"]), Time.parse(value["end"]), str(value["time_zone"])
        return Span(start=int(start), end=int(end), time_zone=zone)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{MANIFEST}: span", dict(value), "{start, end: UTC times, time_zone}") from error


def to_json(value: Any) -> bytes:
    """Write JSON with sorted keys and a fixed layout: the same value is the same bytes."""
    return msgspec.json.format(msgspec.json.encode(value, order="deterministic"), indent=2) + b"\n"


def replace_file(path: Path, content: bytes) -> None:
    """Write one file anew, so that a reader finds the old one or the new one, never half of it.

    Raises:
        RunError: the disk refused; the old file is as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        _write(partial, content)
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path}: could not be written ({error.strerror or error})") from error
    finally:
        partial.unlink(missing_ok=True)


def _fill(
    folder: Path,
    manifest: Mapping[str, Any],
    tables: Mapping[str, pa.Table],
    files: Mapping[str, bytes],
    timing: Mapping[str, Any] | None,
) -> None:
    folder.chmod(0o777 & ~_umask())
    for name in sorted(tables):
        pq.write_table(tables[name], folder / f"{name}.parquet", compression="zstd", version="2.6")
        _sync(folder / f"{name}.parquet")
    for name in sorted(files):
        _write(folder / name, files[name])
    if timing is not None:
        _write(folder / TIMING, to_json(timing))
    # Last, since it is what makes a folder a result.
    _write(folder / MANIFEST, to_json(manifest))
    for inner in sorted({(folder / name).parent for name in files} | {folder}):
        _sync(inner)


def _put(partial: Path, target: Path) -> None:
    """Rename the new folder into place, an earlier one out of the way first."""
    earlier: Path | None = None
    if target.is_symlink() or (target.exists() and any(target.iterdir())):
        earlier = target.with_name(f"{partial.name.removesuffix('.partial')}.replaced")
        target.rename(earlier)
    try:
        partial.rename(target)
    except BaseException:
        if earlier is not None:
            earlier.rename(target)
        raise
    _sync(target.parent)
    if earlier is not None:
        _remove(earlier)


def _remove(earlier: Path) -> None:
    if earlier.is_symlink():
        earlier.unlink()
    else:
        shutil.rmtree(earlier, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Read the process's mask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InputError(str(path), str(error), "the JSON a run writes; the file is damaged") from error


def _read_table(path: Path) -> pa.Table:
    if not path.is_file():
        raise InputError("DIR", str(path.parent), f"the folder of a finished run; it has no {path.name}")
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            str(path), str(error), "the Parquet file a run writes; the file is damaged"
        ) from error
