"""What cannot be kept is not acknowledged, and whoever listens stops when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from voltagora.domain.errors import RunError, VoltAgoraError
from voltagora.live.record import Recorder, Rotation
from voltagora.live.record_collector import Collector
from voltagora.live.record_files import parts, record_rows
from voltagora.live.transport import Arrival, Listener, Publication


class Line:
    """A transport that hands over what it is given, and acknowledges what was taken."""

    waiting = 0

    def __init__(self, *batches: Sequence[Arrival], refuses: VoltAgoraError | None = None) -> None:
        self.batches = batches
        self.refuses = refuses
        self.acknowledged: list[bytes] = []
        self.filters: list[str] = []
        self.is_closed = False
        self.has_said_all = asyncio.Event()

    async def open(self, listener: Listener) -> None:
        if self.refuses is not None:
            raise self.refuses
        listener.connected(session_present=True, stamps=True)
        for batch in self.batches:
            await asyncio.sleep(0)
            try:
                listener.arrived(batch)
            except VoltAgoraError:
                continue
            self.acknowledged += [it.payload for it in batch]
        self.has_said_all.set()

    def subscribe(self, filters: Iterable[str]) -> None:
        self.filters += filters

    def publish(self, publication: Publication) -> None:
        raise AssertionError(f"nobody publishes here: {publication}")

    async def drain(self, at_most: int) -> None:
        pass

    async def close(self) -> None:
        self.is_closed = True


def said(payload: str) -> Arrival:
    return Arrival(topic="t", payload=payload.encode())


def kept(folder: Path) -> list[bytes]:
    return [row[-1] for row in record_rows(folder)]


async def collected(line: Line, collector: Collector, seconds: float | None = None) -> None:
    running = asyncio.ensure_future(collector.run(line, ["#"], seconds))
    if seconds is None:
        await line.has_said_all.wait()
        collector.leave()
    await running


def test_all_that_is_said_is_kept_until_it_is_told_to_leave(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")

    async def play() -> Line:
        line = Line([said("a"), said("b")], [said("c")])
        await collected(line, Collector(recorder))
        return line

    line = asyncio.run(play())
    recorder.close()

    assert kept(tmp_path / "r") == line.acknowledged == [b"a", b"b", b"c"]
    assert line.filters == ["#"]
    assert line.is_closed


def test_it_leaves_by_itself_after_the_time_it_was_given(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")

    async def play() -> Line:
        line = Line([said("a")])
        await collected(line, Collector(recorder), seconds=0.05)
        return line

    assert asyncio.run(play()).is_closed
    recorder.close()
    assert kept(tmp_path / "r") == [b"a"]


def test_what_cannot_be_kept_is_not_acknowledged_and_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "r")
    take = recorder.take

    def full(arrivals: Sequence[Arrival]) -> None:
        if arrivals[0].payload == b"b":
            raise RunError("journal.sqlite: database or disk is full")
        take(arrivals)

    monkeypatch.setattr(recorder, "take", full)
    line: list[Line] = []

    async def play() -> None:
        # What comes after a batch that was not kept must not be acknowledged before it.
        line.append(Line([said("a")], [said("b")], [said("c")]))
        await Collector(recorder).run(line[0], ["#"])

    with pytest.raises(RunError, match="disk is full"):
        asyncio.run(play())
    recorder.close()
    assert line[0].acknowledged == [b"a"]
    assert line[0].is_closed
    assert kept(tmp_path / "r") == [b"a"]


def test_a_broker_that_refuses_for_good_ends_it(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "r")

    async def play() -> None:
        await Collector(recorder).run(Line(refuses=VoltAgoraError("wrong password")), ["#"])

    with pytest.raises(VoltAgoraError, match="wrong password"):
        asyncio.run(play())
    recorder.close()


def test_a_file_is_finished_in_time_though_nothing_more_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voltagora.live.record_collector.LOOK_SECONDS", 0.01)
    recorder = Recorder(tmp_path / "r", rotation=Rotation(minutes=0.001))

    async def play() -> None:
        line = Line([said("a")])
        running = asyncio.ensure_future(collector.run(line, ["#"]))
        async with asyncio.timeout(10):
            while not parts(tmp_path / "r"):
                await asyncio.sleep(0.01)
        collector.leave()
        await running

    collector = Collector(recorder)
    asyncio.run(play())
    recorder.close()
    assert kept(tmp_path / "r") == [b"a"]


def test_a_lost_session_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(tmp_path / "r")
    collector = Collector(recorder)
    collector.connected(session_present=False, stamps=None)
    assert not caplog.records  # of a record that begins nothing is missing
    recorder.take([said("a")])
    collector.connected(session_present=False, stamps=None)
    recorder.close()
    assert "not recorded" in caplog.text
