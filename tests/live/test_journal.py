"""What a process keeps is kept whole or not at all, by one process; what is wrong with it is said clearly."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.errors import InputError, RunError
from voltagora.live.events import Advanced, Arrived, Event, Expired, Finished, Missed, Started
from voltagora.live.journal import FILE_NAME, Journal
from voltagora.live.outgoing import Outgoing

EVENTS: list[Event] = [
    Started(5),
    Arrived(6, "a/b", b"\x00{", "user", True),
    Expired(7, "ev", "m1", 2),
    Missed(8),
    Advanced(9),
    Finished(10),
]


def words(number: int) -> Outgoing:
    return Outgoing("a/b", b"%d" % number, False, "ev", "CP1", f"m{number}", "b/c", 10)


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert journal.is_empty
        assert journal.commit(EVENTS[:3], [words(1), words(2)]) == 1
        assert journal.commit(EVENTS[3:], [words(3)], {"clock": b"x", "taken": 2}) == 3

    with Journal(tmp_path) as journal:
        assert list(journal.events()) == EVENTS
        assert [number for number, _ in journal.publications()] == [1, 2, 3]
        assert journal.not_taken() == [(3, words(3))]
        assert journal.fact("clock") == b"x"
        assert journal.commit([Advanced(11)], [words(4)]) == 4


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=8), st.integers(1, 4_000))
def test_a_torn_end_takes_whole_batches(batches: list[tuple[int, int]], cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ends = [(0, 0)]
        with Journal(folder) as journal:
            journal._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for events, publications in batches:
                journal.commit(
                    [Advanced(place) for place in range(events)],
                    [words(place) for place in range(publications)],
                )
                ends.append((ends[-1][0] + events, ends[-1][1] + publications))
            kept = {path.name: path.read_bytes() for path in folder.iterdir()}
        torn = folder / "torn"
        torn.mkdir()
        (torn / FILE_NAME).write_bytes(kept[FILE_NAME])
        wal = kept.get(f"{FILE_NAME}-wal", b"")
        (torn / f"{FILE_NAME}-wal").write_bytes(wal[: max(0, len(wal) - cut)])
        with Journal(torn) as journal:
            found = (len(list(journal.events())), len(list(journal.publications())))
        assert found in ends


def test_a_batch_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit([Started(1)], [words(1)])
        with pytest.raises(OverflowError):
            journal.commit([Advanced(2)], [words(2)], {"clock": 2**70})
        assert list(journal.events()) == [Started(1)]
        assert journal.commit([Advanced(2)], [words(2)]) == 2


def test_a_full_disk_leaves_nothing_half_and_is_survived(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        database = journal._database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + 4}")
        big = Outgoing("a", b"x" * 40_000, False, "ev", "CP1", "m")
        with pytest.raises(sqlite3.Error, match="full"):
            journal.commit([Started(1), Advanced(2)], [words(1), big])
        assert journal.is_empty
        assert not list(journal.publications())
        database.execute("PRAGMA max_page_count = 100000")
        assert journal.commit([Started(1)], [words(1), big]) == 1


READ = """
import json, sys
from pathlib import Path
from voltagora.live.journal import Journal
with Journal(Path(sys.argv[1]), read_only=True) as journal:
    count = sum(1 for _ in journal.events())
    input()
    print(json.dumps([count, sum(1 for _ in journal.events()), sum(1 for _ in journal.publications())]))
"""


def test_a_reader_beside_the_writer_sees_one_moment(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit([Started(1)], [words(1)])
        with subprocess.Popen(
            [sys.executable, "-c", READ, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as reader:
            with Journal(tmp_path, read_only=True) as beside:
                assert len(list(beside.events())) == 1
                for number in range(2, 50):
                    journal.commit([Advanced(number)], [words(number)])
                assert len(list(beside.events())) == 1
            answer, _ = reader.communicate("\n", timeout=30)
        first, second, said = json.loads(answer)
        assert first == second == said
        assert len(list(journal.events())) == 49


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    attempt = (
        "from pathlib import Path\nfrom voltagora.live.journal import Journal\n"
        f"Journal(Path({str(tmp_path)!r}))"
    )
    with Journal(tmp_path):
        with pytest.raises(RunError, match="another process is using it"):
            Journal(tmp_path)
        failed = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=False)
        assert "another process is using it" in failed.stderr
    Journal(tmp_path).close()


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    old = os.umask(0)
    try:
        with Journal(folder) as journal:
            journal.commit([Started(1)], [])
            modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    finally:
        os.umask(old)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}, modes


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"folder: got .*, must be one that holds a journal\.sqlite"):
        Journal(tmp_path, read_only=True)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(read_only: bool, tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    file.write_bytes(b"a letter to somebody" * 500)

    with pytest.raises(InputError, match="a journal of ours"):
        Journal(tmp_path, read_only=read_only)

    assert file.read_bytes() == b"a letter to somebody" * 500


@pytest.mark.parametrize("read_only", [True, False])
def test_anothers_database_is_refused_and_left_as_it_is(read_only: bool, tmp_path: Path) -> None:
    file = tmp_path / FILE_NAME
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE letters (text)")
    other.close()
    before = file.read_bytes()

    with pytest.raises(InputError, match="other tables"):
        Journal(tmp_path, read_only=read_only)

    assert file.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_format_is_refused(read_only: bool, tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit([], [], {"format": 2})

    with pytest.raises(InputError, match="format: got 2, must be 1, as this version of voltagora has it"):
        Journal(tmp_path, read_only=read_only)


def test_damage_within_is_said_when_it_is_met(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.commit([Advanced(number) for number in range(3)], [])
        journal._database.execute("UPDATE events SET event = x'93a2' WHERE number = 2")

    with Journal(tmp_path) as journal, pytest.raises(RunError, match="is damaged or of another version"):
        list(journal.events())


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RunError, match=r"file/data/journal\.sqlite: Not a directory"):
        Journal(tmp_path / "file" / "data")
