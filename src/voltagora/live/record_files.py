"""The folder of a record: finished Parquet files, CSV beside them if wanted, and the open journal."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from voltagora.domain.errors import InputError, RunError
from voltagora.live import record_csv
from voltagora.live.record_journal import FILE as JOURNAL
from voltagora.live.record_journal import Row, journal_as_it_is

_NAME: Final = re.compile(r"messages-(\d{6,})\.parquet")
_ROWS_AT_A_TIME: Final = 4096
"""Rows held at once when a file is written or read; never more than the bytes of one file."""

_MICROS: Final = pa.timestamp("us", tz="UTC")
SCHEMA: Final = pa.schema(
    [
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("received_at", _MICROS, nullable=False),
        pa.field("simulated_at", _MICROS),
        pa.field("topic", pa.string(), nullable=False),
        pa.field("protocol", pa.string()),
        pa.field("sender", pa.string()),
        pa.field("retained", pa.bool_(), nullable=False),
        pa.field("repeats", pa.int64()),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
_SIZE: Final = SCHEMA.get_field_index("size_bytes")


def part_name(number: int, ending: str = "parquet") -> str:
    """Name a file of a record: `messages-000001.parquet`."""
    return f"messages-{number:06d}.{ending}"


def parts(folder: Path, after: int = 0) -> list[tuple[int, Path]]:
    """List the finished files with their numbers, in order, those beyond a number."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    found = ((int(match[1]), path) for match, path in matches if match is not None)
    return sorted((number, path) for number, path in found if number > after)


def is_record(folder: Path) -> bool:
    """Tell whether a folder is one that `voltagora collect` keeps."""
    return folder.is_dir() and ((folder / JOURNAL).is_file() or bool(parts(folder)))


def last_sequence(path: Path) -> int:
    """Read from a finished file the number of its last message.

    Raises:
        InputError: it is not one of ours, or damaged.
    """
    try:
        return int(pq.read_metadata(path).metadata[b"last_sequence"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(str(path), str(error), "a file that `voltagora collect` wrote whole") from error


def newest_rows(path: Path, count: int) -> list[Row]:
    """Read the last so many messages of a finished file."""
    with pq.ParquetFile(path) as file:
        groups, rows = file.metadata.num_row_groups, 0
        first = groups
        while first > 0 and rows < count:
            first -= 1
            rows += file.metadata.row_group(first).num_rows
        table = file.read_row_groups(list(range(first, groups)))
    return list(_rows_of(table))[-count:]


def record_rows(folder: Path) -> Iterator[Row]:
    """Read every message of a record once, in order, also while it is being written.

    Raises:
        InputError: a file is damaged.
    """
    read = last = 0
    while True:
        for number, path in parts(folder, after=read):
            yield from _part_rows(path)
            read, last = number, last_sequence(path)
        if not (folder / JOURNAL).is_file():
            return
        with journal_as_it_is(folder) as rows:
            # A message leaves the journal only after its file is there: without a new one none is missed.
            if not parts(folder, after=read):
                yield from rows(last)
                return


def _part_rows(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS_AT_A_TIME):
                yield from _rows_of(batch)
    except (pa.ArrowException, OSError) as error:
        raise InputError(str(path), str(error), "a file that `voltagora collect` wrote whole") from error


def write_part(folder: Path, number: int, rows: Callable[[], Iterable[Row]], *, csv: bool) -> int:
    """Turn messages into a finished file, which stands under its name only when it is whole.

    Args:
        folder: where.
        number: of the file.
        rows: gives the messages, from the first each time it is called.
        csv: write a CSV file beside it, first: the Parquet file's name is what makes a part count.

    Returns:
        The number of the last message.

    Raises:
        RunError: the disk refuses; nothing half written is left.
    """
    if csv:
        _put(folder / part_name(number, "csv"), lambda path: _write_csv(path, rows()))
    return _put(folder / part_name(number), lambda path: _write_parquet(path, rows()))


def _put(path: Path, write: Callable[[Path], int]) -> int:
    """Write under another name, force it to the disk, and move it into place."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        last = write(partial)
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{path}: cannot be written: {reason}; its messages stay in {JOURNAL}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return last


def _write_parquet(path: Path, rows: Iterable[Row]) -> int:
    last = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", version="2.6") as writer:
        for chunk in _chunks(rows):
            writer.write_table(_table_of(chunk))
            last = chunk[-1][0]
        # Where to go on is known from the footer alone.
        writer.add_key_value_metadata({"last_sequence": str(last), "written_by": "voltagora collect"})
    return last


def _write_csv(path: Path, rows: Iterable[Row]) -> int:
    with path.open("w", encoding="utf-8", newline="") as file:
        record_csv.write_rows(file, map(_cells, rows))
    return 0


def _cells(row: Row) -> tuple[Any, ...]:
    sequence, received, simulated, topic, protocol, sender, retained, repeats, payload = row
    encoding, text = record_csv.payload_cells(payload)
    times = (_iso(received), None if simulated is None else _iso(simulated))
    return (
        *(sequence, *times, topic, protocol, sender),
        *("true" if retained else "false", repeats, len(payload), encoding, text),
    )


def _iso(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _table_of(rows: Sequence[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    columns.insert(_SIZE, tuple(len(row[-1]) for row in rows))
    return pa.table(
        [
            pa.array(column, pa.int64()).cast(field.type)
            if field.type in (_MICROS, pa.bool_())
            else pa.array(column, field.type)
            for column, field in zip(columns, SCHEMA, strict=True)
        ],
        schema=SCHEMA,
    )


def _rows_of(table: pa.Table | pa.RecordBatch) -> Iterator[Row]:
    columns = []
    for field in SCHEMA:
        if field.name == "size_bytes":
            continue
        column = table.column(field.name)
        columns.append((column.cast(pa.int64()) if field.type == _MICROS else column).to_pylist())
    yield from zip(*columns, strict=True)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while chunk := list(itertools.islice(source, _ROWS_AT_A_TIME)):
        yield chunk


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
