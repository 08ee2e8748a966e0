"""No cell of a recorded CSV is executed by a spreadsheet, and every payload comes back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voltagora.live.record import Recorder
from voltagora.live.record_csv import COLUMNS, payload_of, read_csv
from voltagora.live.record_files import part_name
from voltagora.live.transport import Arrival

TOPICS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), min_size=1)
FORMULAS = st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''", "\n=1", 'x"\r\n=1', "a,=b"]
)
PAYLOADS = st.one_of(st.binary(), FORMULAS.map(str.encode), st.text().map(str.encode))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.one_of(TOPICS, FORMULAS), PAYLOADS), min_size=1, max_size=8))
def test_what_was_published_comes_back(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes]]
) -> None:
    folder = recorded(tmp_path_factory.mktemp("csv") / "r", messages)

    rows = list(read_csv(folder))
    assert [(row["topic"], payload_of(row["payload_encoding"], row["payload"])) for row in rows] == messages


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.one_of(TOPICS, FORMULAS), PAYLOADS), min_size=1, max_size=8))
def test_no_cell_begins_as_a_formula_does(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes]]
) -> None:
    path = recorded(tmp_path_factory.mktemp("csv") / "r", messages)

    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert len(cells) == len(COLUMNS) * (len(messages) + 1)
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert not [cell for cell in cells if "\0" in cell]


def recorded(folder: Path, messages: list[tuple[str, bytes]]) -> Path:
    recorder = Recorder(folder, csv=True)
    recorder.take([Arrival(topic=topic, payload=payload) for topic, payload in messages])
    recorder.close()
    return folder / part_name(1, "csv")
