"""A record loses nothing that was acknowledged, numbers nothing twice, and goes on where it ended."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from voltagora.domain.errors import InputError, RunError
from voltagora.domain.units import Time
from voltagora.live import record_files
from voltagora.live.clock import ClockNews
from voltagora.live.record import Recorder, Rotation
from voltagora.live.record_csv import payload_of, read_csv
from voltagora.live.record_files import SCHEMA, newest_rows, part_name, parts, record_rows
from voltagora.live.transport import Arrival

SEQUENCE, RECEIVED, SIMULATED, TOPIC, PROTOCOL, SENDER, RETAINED, REPEATS, PAYLOAD = range(9)


def said(payload: str | bytes, topic: str = "t", **more: object) -> Arrival:
    return Arrival(topic=topic, payload=payload if isinstance(payload, bytes) else payload.encode(), **more)  # type: ignore[arg-type]


def column(folder: Path, place: int) -> list[object]:
    return [row[place] for row in record_rows(folder)]


def test_a_closed_record_is_files_that_say_everything_of_each_message(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", wall=lambda: 1_600_000_000.25)
    recorder.take(
        [
            said(b"{}", "EV/ev-1/RequestChargingRecommendations", sender="alice"),
            said(b"\xff\x00", "somebody/else", retained=True),
        ]
    )
    recorder.close()

    table = pq.read_table(tmp_path / "r" / part_name(1))
    assert table.schema.equals(SCHEMA)
    assert table.drop_columns(["received_at"]).to_pylist() == [
        {
            "sequence": 1,
            "simulated_at": None,
            "topic": "EV/ev-1/RequestChargingRecommendations",
            "protocol": "CP1",
            "sender": "alice",
            "retained": False,
            "repeats": None,
            "size_bytes": 2,
            "payload": b"{}",
        },
        {
            "sequence": 2,
            "simulated_at": None,
            "topic": "somebody/else",
            "protocol": None,
            "sender": None,
            "retained": True,
            "repeats": None,
            "size_bytes": 2,
            "payload": b"\xff\x00",
        },
    ]
    assert str(table["received_at"][0].as_py()) == "2020-09-13 12:26:40.250000+00:00"


def test_what_is_taken_can_be_read_before_any_file_is_finished(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("a"), said("b")])

    assert parts(tmp_path / "r") == []
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b"]
    recorder.close()


def test_a_started_again_record_goes_on_with_its_numbers_and_its_session(tmp_path: Path) -> None:
    first = Recorder(tmp_path / "r")
    first.take([said("a"), said("b")])
    first.close()
    second = Recorder(tmp_path / "r")
    second.take([said("c")])
    second.close()

    assert second.client_id == first.client_id
    assert column(tmp_path / "r", SEQUENCE) == [1, 2, 3]
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b", b"c"]
    assert [number for number, _ in parts(tmp_path / "r")] == [1, 2]


def test_numbers_are_not_given_again_when_old_files_were_taken_away(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("a"), said("b")])
    recorder.close()
    (tmp_path / "r" / part_name(1)).unlink()
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("c")])
    recorder.close()

    assert column(tmp_path / "r", SEQUENCE) == [3]
    assert [number for number, _ in parts(tmp_path / "r")] == [2]


@pytest.mark.parametrize(
    ("rotation", "lengths"),
    [(Rotation(rows=4), [4, 4, 2]), (Rotation(bytes=30), [3, 3, 3, 1]), (Rotation(minutes=3), [4, 4, 2])],
)
def test_a_file_is_finished_when_it_is_large_or_old_enough(
    tmp_path: Path, rotation: Rotation, lengths: list[int]
) -> None:
    now = [0.0]
    recorder = Recorder(tmp_path / "r", rotation=rotation, wall=lambda: now[0])
    for number in range(10):
        recorder.take([said(f"payload-{number}")])  # with its topic 10 bytes
        now[0] += 60
    recorder.close()

    assert [pq.read_metadata(path).num_rows for _, path in parts(tmp_path / "r")] == lengths
    assert column(tmp_path / "r", SEQUENCE) == list(range(1, 11))


def test_a_file_that_is_old_enough_is_finished_also_when_nothing_comes(tmp_path: Path) -> None:
    now = [0.0]
    recorder = Recorder(tmp_path / "r", rotation=Rotation(minutes=1), wall=lambda: now[0])
    recorder.take([said("a")])
    recorder.rotate_if_due()
    assert not parts(tmp_path / "r")
    now[0] = 61.0
    recorder.rotate_if_due()
    assert len(parts(tmp_path / "r")) == 1
    recorder.close()


def test_what_the_broker_repeats_is_marked_and_what_was_said_twice_is_not(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", rotation=Rotation(rows=3))
    recorder.take([said("start", "timer"), said("start", "timer"), said("b")])
    recorder.close()
    recorder = Recorder(tmp_path / "r")
    again = said("start", "timer", redelivered=True)
    # The third was under way when the connection broke and had not been received.
    recorder.take([again, again, again, said("b"), said("new", redelivered=True)])
    recorder.close()

    assert column(tmp_path / "r", REPEATS) == [None, None, None, 1, 2, None, None, None]


def test_a_tick_left_over_from_an_earlier_market_says_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    tick = ClockNews(start=Time(1000), speed=60.0, simulated_time=Time(50_000)).written()
    recorder.take([said(tick, "clock", retained=True), said(b"no tick", "clock"), said("after")])
    recorder.close()
    assert column(tmp_path / "r", SIMULATED) == [None, None, None]


def test_the_topic_clock_says_the_time_of_the_agents(tmp_path: Path) -> None:
    now = [1000.0]
    recorder = Recorder(tmp_path / "r", wall=lambda: now[0])
    tick = ClockNews(start=Time(1000), speed=60.0, simulated_time=Time(50_000)).written()
    recorder.take([said("before"), said(tick, "clock"), said(b"{}", "clock")])
    now[0] = 1001.5
    recorder.take([said("later")])
    recorder.close()
    now[0] = 1010.0
    recorder = Recorder(tmp_path / "r", wall=lambda: now[0])
    recorder.take([said("started again")])
    paused = ClockNews(start=Time(1010), speed=0.0, simulated_time=Time(50_600)).written()
    recorder.take([said(paused, "clock")])
    now[0] = 1020.0
    recorder.take([said("paused")])
    recorder.close()

    seconds = [None if it is None else it / 1e6 for it in column(tmp_path / "r", SIMULATED)]  # type: ignore[operator]
    assert seconds == [None, 50_000, 50_000, 50_090, 50_600, 50_600, 50_600]


CHILD = """
    import sys
    from pathlib import Path
    from voltagora.live.record import Recorder, Rotation
    from voltagora.live.transport import Arrival

    folder, acknowledged = Path(sys.argv[1]), int(sys.argv[2])
    recorder = Recorder(folder, rotation=Rotation(rows=7), csv=True)
    at = acknowledged
    while True:
        # As a broker: what was not acknowledged comes again, flagged; then what is new.
        again = at == acknowledged
        batch = [Arrival(topic="t", payload=b"%d" % n, redelivered=again) for n in range(at, at + 3)]
        recorder.take(batch)
        at += 3
        print(at, flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder, acknowledged, chance = tmp_path / "r", 0, random.Random(5)
    for _ in range(6):
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(folder), str(acknowledged)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(chance.randrange(1, 60)):
                acknowledged = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            # What it still said before it died was acknowledged as well.
            for line in child.stdout:
                acknowledged = int(line) if line.endswith("\n") else acknowledged
    Recorder(folder, csv=True).close()

    rows = list(record_rows(folder))
    assert [row[SEQUENCE] for row in rows] == list(range(1, len(rows) + 1))
    firsts = [int(row[PAYLOAD]) for row in rows if row[REPEATS] is None]
    assert firsts[:acknowledged] == list(range(acknowledged))
    assert firsts == list(range(len(firsts)))
    by_number = {row[SEQUENCE]: row[PAYLOAD] for row in rows}
    assert all(by_number[row[REPEATS]] == row[PAYLOAD] for row in rows if row[REPEATS] is not None)
    assert not list(folder.glob(".*"))
    in_csv = [
        payload_of(row["payload_encoding"], row["payload"])
        for number, _ in parts(folder)
        for row in read_csv(folder / part_name(number, "csv"))
    ]
    assert in_csv == [row[PAYLOAD] for row in rows]


def test_a_kill_between_moving_a_file_and_emptying_the_journal_doubles_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("a"), said("b")])
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        shutil.copy(tmp_path / "r" / name, tmp_path / name)
    recorder.close()
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        shutil.copy(tmp_path / name, tmp_path / "r" / name)
    (tmp_path / "r" / f".{part_name(2)}.partial").write_bytes(b"half")

    assert column(tmp_path / "r", SEQUENCE) == [1, 2]
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("c")])
    recorder.close()
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b", b"c"]
    assert column(tmp_path / "r", SEQUENCE) == [1, 2, 3]
    assert not list((tmp_path / "r").glob("*.partial"))


FULL = """
    import os, resource, sys
    from pathlib import Path
    from voltagora.domain.errors import RunError
    from voltagora.live.record import Recorder, Rotation
    from voltagora.live.transport import Arrival

    recorder = Recorder(Path(sys.argv[1]), rotation=Rotation())
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    taken = 0
    try:
        while True:
            recorder.take([Arrival(topic="t", payload=os.urandom(1000))])
            taken += 1
    except RunError as error:
        print(taken, error, flush=True)
        os._exit(0)
"""


def test_a_disk_that_is_full_stops_it_and_everything_taken_is_still_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "r")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    taken, error = done.stdout.split(" ", 1)
    assert "journal.sqlite: nothing more can be recorded" in error
    assert column(tmp_path / "r", SEQUENCE) == list(range(1, int(taken) + 1))
    Recorder(tmp_path / "r").close()
    assert column(tmp_path / "r", SEQUENCE) == list(range(1, int(taken) + 1))


def test_a_file_for_which_the_disk_has_no_room_leaves_its_messages_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    recorder = Recorder(tmp_path / "r", rotation=Rotation(rows=2))
    with monkeypatch.context() as disk:
        disk.setattr(record_files, "_sync", full)
        with pytest.raises(RunError, match=r"messages-000001\.parquet: .*No space left"):
            recorder.take([said("a"), said("b")])
        with pytest.raises(RunError, match="No space left"):
            recorder.close()
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b"]
    assert not list((tmp_path / "r").glob(".*"))
    Recorder(tmp_path / "r").close()
    assert [number for number, _ in parts(tmp_path / "r")] == [1]
    assert column(tmp_path / "r", SEQUENCE) == [1, 2]


def test_two_recorders_do_not_write_one_record(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    with pytest.raises(InputError, match="no other"):
        Recorder(tmp_path / "r")
    recorder.close()
    Recorder(tmp_path / "r").close()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="--out"):
        Recorder(tmp_path)
    with pytest.raises(InputError, match="--out"):
        Recorder(tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("a")])
    recorder.close()
    (tmp_path / "r" / part_name(1)).write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="messages-000001"):
        Recorder(tmp_path / "r")
    with pytest.raises(InputError, match="messages-000001"):
        list(record_rows(tmp_path / "r"))


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        Recorder(tmp_path / "file" / "r")


def test_the_last_messages_of_a_file_are_found_over_its_groups(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said(str(n)) for n in range(9000)])
    recorder.close()
    newest = newest_rows(tmp_path / "r" / part_name(1), 5000)
    assert [row[SEQUENCE] for row in newest] == list(range(4001, 9001))


def test_it_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r", rotation=Rotation(rows=3))
    recorder.take([said("a"), said("b")])
    reading = record_rows(tmp_path / "r")
    seen = [next(reading)[PAYLOAD]]
    recorder.take([said("c")])  # which moves all of them into a file
    recorder.take([said("d")])
    seen += [row[PAYLOAD] for row in reading]
    assert seen[:2] == [b"a", b"b"]
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b", b"c", b"d"]
    recorder.close()


def test_a_file_finished_between_reading_files_and_journal_is_read_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.take([said("a")])
    recorder.rotate()
    recorder.take([said("b")])
    open_journal = record_files.journal_as_it_is

    def in_between(folder: Path) -> object:
        monkeypatch.setattr(record_files, "journal_as_it_is", open_journal)
        recorder.rotate()
        recorder.take([said("c")])
        return open_journal(folder)

    monkeypatch.setattr(record_files, "journal_as_it_is", in_between)
    assert column(tmp_path / "r", PAYLOAD) == [b"a", b"b", b"c"]
    recorder.close()
