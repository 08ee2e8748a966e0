"""The folder of a run: whole or not there, never another's, and readable again."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from voltagora.domain.errors import InputError, MissingExtra, RunError
from voltagora.results import store
from voltagora.results.result import Result


@pytest.fixture
def result(world: Any, gathered: Any) -> Result:
    made = world(1)
    return Result.of(
        gathered(made.records, made.span), {"name": "made-up", "seed": 1}, timing={"wall_s": 0.1}
    )


def save(result: Result, folder: Path, **options: Any) -> Path:
    return result.save(folder, report=False, **options)


def test_a_run_comes_back_as_it_was_stored(result: Result, tmp_path: Path) -> None:
    folder = save(result, tmp_path / "deep" / "run")

    read = Result.load(folder)

    assert read.metrics == json.loads(json.dumps(result.metrics))
    assert read.tables == result.tables
    assert (read.span, read.manifest, read.timing) == (
        result.span,
        {"name": "made-up", "seed": 1},
        {"wall_s": 0.1},
    )
    assert read.path == folder
    assert read.name == "run"


def test_run_json_is_sorted_and_apart_from_the_machine(result: Result, tmp_path: Path) -> None:
    text = (save(result, tmp_path / "run") / "run.json").read_text()

    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert content["metrics"]["bookings_asked"] == len(result.tables["needs"])
    assert "wall_s" not in text


def test_an_existing_result_is_replaced_only_by_force(result: Result, tmp_path: Path) -> None:
    folder = save(result, tmp_path / "run")
    (folder / "mine.txt").write_text("note")

    with pytest.raises(InputError, match="--force"):
        save(result, folder)
    assert (folder / "mine.txt").exists()

    save(result, folder, force=True)
    assert not (folder / "mine.txt").exists()
    assert Result.load(folder).metrics["bookings_asked"] == len(result.tables["needs"])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_force_never_replaces_what_is_no_result(result: Result, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")

    with pytest.raises(InputError, match=r"run\.json"):
        save(result, home, force=True)
    with pytest.raises(InputError, match="file of that name"):
        save(result, home / "thesis.tex", force=True)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_free(result: Result, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert Result.load(save(result, tmp_path / "run")).tables.keys() == result.tables.keys()


def out_of_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("place", [(pq, "write_table"), (os, "fsync"), (store, "to_json"), (Path, "rename")])
@pytest.mark.parametrize(("trouble", "raised"), [(out_of_space, RunError), (interrupted, KeyboardInterrupt)])
def test_trouble_at_any_moment_leaves_nothing(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, trouble: Any, raised: Any
) -> None:
    monkeypatch.setattr(*place, trouble)

    with pytest.raises(raised) as caught:
        save(result, tmp_path / "run")

    assert list(tmp_path.iterdir()) == []
    if raised is RunError:
        assert "No space left on device" in str(caught.value)


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_trouble_while_replacing_keeps_the_earlier_result(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int, raised: BaseException
) -> None:
    folder = save(result, tmp_path / "run")
    (folder / "mine.txt").write_text("the earlier one")
    calls, rename = [], Path.rename

    def fails_once(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            raise raised
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_once)
    with pytest.raises((KeyboardInterrupt, RunError)):
        save(result, folder, force=True)

    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (folder / "mine.txt").read_text() == "the earlier one"


def test_what_is_no_result_is_refused_in_words(result: Result, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="voltagora run"):
        Result.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no run\.json"):
        Result.load(tmp_path)
    folder = save(result, tmp_path / "run")
    (folder / "slots.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"slots\.parquet.*damaged"):
        Result.load(folder)
    (folder / "slots.parquet").unlink()
    with pytest.raises(InputError, match=r"no slots\.parquet"):
        Result.load(folder)
    (folder / "run.json").write_text('{"metrics": 3}')
    with pytest.raises(InputError, match="metrics"):
        Result.load(folder)
    (folder / "run.json").write_text('{"metrics": ')
    with pytest.raises(InputError, match="damaged"):
        Result.load(folder)


def test_a_span_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="span"):
        store.span_from_json({"start": "yesterday", "end": "2020-01-02T00:00:00Z", "time_zone": "UTC"})


def test_frames_have_the_rows_of_the_tables(result: Result) -> None:
    assert len(result.sessions) == len(result.tables["sessions"])
    assert str(result.slots["start"].dtype.tz) == "UTC"
    assert result.vehicles["bookings_made"].sum() == result.metrics["bookings_made"]
    assert len(result.needs) == result.metrics["bookings_asked"]
    assert len(result.refusals) == sum(result.metrics["refusals"].values())
    with pytest.raises(InputError, match="--messages"):
        _ = result.messages


def test_frames_name_the_extra_that_is_missing(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"voltagora\[notebook\]"):
        _ = result.sessions
