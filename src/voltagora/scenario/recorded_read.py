"""Reads recorded publications: of `voltagora collect`, or of `voltagora run --messages`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voltagora.domain.errors import InputError
from voltagora.live.record_files import is_record, record_rows
from voltagora.protocols.access import CLOCK
from voltagora.scenario.recorded_sieve import Heard

MESSAGES: Final = "messages.parquet"
_COLUMNS: Final = ("at", "wave", "topic", "sender", "payload")


def is_recorded(directory: Path) -> bool:
    """Tell whether a folder holds messages to make a result of."""
    return is_record(directory) or (directory / MESSAGES).is_file()


def recorded_messages(directory: Path) -> Iterator[Heard]:
    """Read every publication in order.

    Raises:
        InputError: there are none, or a file is damaged.
    """
    if is_record(directory):
        return _of_record(directory)
    if (directory / MESSAGES).is_file():
        return _of_run(directory / MESSAGES)
    raise InputError(
        "DIR", str(directory), f"a folder that `voltagora collect` keeps, or one with a {MESSAGES}"
    )


def _of_record(directory: Path) -> Iterator[Heard]:
    """Give the agents' time where a clock says it; where none ever does, the time of recording."""
    has_clock = any(topic == CLOCK for _, _, _, topic, *_ in record_rows(directory))
    for _, received, simulated, topic, _, sender, retained, _, payload in record_rows(directory):
        micros = simulated if has_clock else received
        yield Heard(
            at=None if micros is None else micros // 1_000_000,
            real=received / 1_000_000,
            topic=topic,
            payload=payload,
            sender=sender,
            retained=bool(retained),
        )


def _of_run(path: Path) -> Iterator[Heard]:
    """Give them in the order of time: the file has one area after another."""
    try:
        table = pq.read_table(path)
        missing = [name for name in _COLUMNS if name not in table.column_names]
        if missing:
            raise InputError(f"{path}: columns", table.column_names, f"with {', '.join(missing)}")
        seconds = pc.divide(table["at"].cast(pa.int64()), 1000)
    except (pa.ArrowException, OSError) as error:
        raise InputError(str(path), str(error), "the Parquet file a run writes") from error
    table = table.set_column(table.column_names.index("at"), "at", seconds)
    place = pa.array(range(len(table)), pa.int64())
    order = table.append_column("place", place).sort_by(
        [("at", "ascending"), ("wave", "ascending"), ("place", "ascending")]
    )
    for batch in order.to_batches(4096):
        for row in batch.select(_COLUMNS).to_pylist():
            yield Heard(
                at=row["at"],
                real=float(row["at"]),
                topic=row["topic"],
                payload=row["payload"].encode(),
                sender=row["sender"],
            )
