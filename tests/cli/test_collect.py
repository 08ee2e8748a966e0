"""`voltagora collect` and `voltagora report` on what it kept, as a user meets them, over a real broker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_thread import running_hub
from typer.testing import CliRunner

from brokers import Mosquitto
from voltagora.cli.main import app
from voltagora.domain.units import Time
from voltagora.live.clock import ClockNews
from voltagora.live.record_csv import read_csv
from voltagora.live.record_files import part_name, parts, record_rows
from voltagora.results.result import Result
from voltagora.scenario.run import run

PATIENCE_SECONDS = 30
MAIN = "from voltagora.cli.main import main; main()"
SMALL_DISK = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000)); {MAIN}"

Say = Callable[[str, Sequence[bytes]], None]


@pytest.fixture
def market(tmp_path: Path) -> Result:
    result = run("paper-2020", set=["vehicles.count=8", "days=2"], messages=True)
    (tmp_path / "m").mkdir()
    pq.write_table(result.tables["messages"], tmp_path / "m" / "messages.parquet")
    return result


def invoke(*words: str | Path) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


def test_a_report_on_recorded_messages_is_a_result_like_any_other(market: Result, tmp_path: Path) -> None:
    code, said, _ = invoke("report", tmp_path / "m")

    assert code == 0
    assert "note: made from messages alone" in said
    made = Result.load(tmp_path / "m" / "report")
    assert made.metrics["bookings_made"] == market.metrics["bookings_made"]
    names = {path.name for path in (tmp_path / "m" / "report").iterdir()}
    assert names >= {"report.html", "figures", "run.json", "sessions.parquet", "slots.parquet"}
    assert invoke("report", tmp_path / "m" / "report")[0] == 0  # and can be reported on again
    assert invoke("report", tmp_path / "m")[0] == 0  # and be made again in its place


def test_with_a_scenario_and_a_folder_of_its_own(market: Result, tmp_path: Path) -> None:
    scenario = tmp_path / "s.toml"
    code, said, _ = invoke("report", tmp_path / "m", "--out", tmp_path / "o", "--json")
    assert code == 0
    assert json.loads(said)["bookings_made"] == market.metrics["bookings_made"]
    scenario.write_text("nonsense = 1")
    code, _, error = invoke("report", tmp_path / "m", "--scenario", scenario)
    assert (code, "nonsense" in error) == (2, True)
    assert (tmp_path / "o" / "run.json").exists()
    assert not (tmp_path / "m" / "report").exists()


def test_a_report_does_not_replace_what_is_no_result(market: Result, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "thesis.txt").write_text("mine")
    code, _, error = invoke("report", tmp_path / "m", "--out", tmp_path / "o")
    assert code == 2
    assert "never replaced" in error


def test_scenario_and_out_are_for_recorded_messages(market: Result, tmp_path: Path) -> None:
    market.save(tmp_path / "run")
    code, _, error = invoke("report", tmp_path / "run", "--scenario", "paper-2020")
    assert code == 2
    assert "recorded messages" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--filter", "a/#/b"], "--filter: got 'a/#/b', must be an MQTT topic filter"),
        (["--filter", "a+"], "--filter: got 'a+', must be an MQTT topic filter"),
        (["--seconds", "0"], "--seconds: got 0.0, must be above 0"),
        (["--rotate-minutes", "-1"], "--rotate-minutes: got -1.0, must be above 0"),
        (["--until", "tomorrow"], "--until: got 'tomorrow', must be a UTC time"),
        (["--until", "2020-01-01T00:00:00Z"], "--until: got '2020-01-01T00:00:00Z', must be a time to come"),
        (["--until", "2999-01-01T00:00:00Z", "--seconds", "1"], "must be left out with --seconds"),
        (["--broker", "http://x"], "broker"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_made(words: list[str], said: str, tmp_path: Path) -> None:
    code, _, error = invoke("collect", "--broker", "mqtt://127.0.0.1:1", "--out", tmp_path / "r", *words)
    assert code == 2
    assert said in error
    assert not (tmp_path / "r").exists()


@contextmanager
def collecting(folder: Path, url: str, *options: str, program: str = MAIN) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, "collect", "--broker", url, "--out", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def await_kept(folder: Path, enough: Callable[[list[bytes]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (folder.is_dir() and enough(kept(folder))):
        assert time.monotonic() < deadline, "it is not kept"
        time.sleep(0.05)


def await_listening(folder: Path, say: Say, collector: subprocess.Popen[str]) -> None:
    """Knock until it is heard."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (folder.is_dir() and b"knock" in kept(folder)):
        assert collector.poll() is None, collector.communicate()[1]
        assert time.monotonic() < deadline, "nobody listens"
        say("knock", [b"knock"])
        time.sleep(0.1)


def kept(folder: Path) -> list[bytes]:
    return [row[-1] for row in record_rows(folder)]


@contextmanager
def hub(_folder: Path) -> Iterator[tuple[str, Say]]:
    with running_hub(websocket=None) as running:

        def say(topic: str, payloads: Sequence[bytes]) -> None:
            running.call(lambda: [running.hub.publish(topic, payload, qos=1) for payload in payloads])

        yield f"mqtt://127.0.0.1:{running.mqtt_port}", say


@contextmanager
def mosquitto(folder: Path) -> Iterator[tuple[str, Say]]:
    broker = Mosquitto(folder, more="max_queued_messages 0").open()

    def say(topic: str, payloads: Sequence[bytes]) -> None:
        command = ["mosquitto_pub", "-p", str(broker.port), "-t", topic, "-q", "1", "-l"]
        subprocess.run(command, input=b"\n".join(payloads) + b"\n", check=True)

    try:
        yield f"mqtt://127.0.0.1:{broker.port}", say
    finally:
        broker.close()


@pytest.mark.parametrize("broker", [hub, mosquitto])
def test_a_killed_collector_is_delivered_what_was_said_meanwhile(
    tmp_path: Path, broker: Callable[[Path], AbstractContextManager[tuple[str, Say]]]
) -> None:
    folder = tmp_path / "r"
    numbers = [b"%d" % number for number in range(600)]
    with broker(tmp_path) as (url, say):
        with collecting(folder, url, "--rotate-rows", "40", "--csv") as first:
            await_listening(folder, say, first)
            say("t", numbers[:300])
            await_kept(folder, lambda found: b"50" in found)
            first.send_signal(signal.SIGKILL)
            first.wait()
        say("t", numbers[300:])
        with collecting(folder, url, "--rotate-rows", "40", "--csv") as second:
            await_kept(folder, lambda found: numbers[-1] in found)
            second.send_signal(signal.SIGTERM)
            said, errors = second.communicate(timeout=PATIENCE_SECONDS)
            assert second.returncode == 0, errors
            assert "messages recorded" in said

    rows = list(record_rows(folder))
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    assert [row[-1] for row in rows if row[3] == "t" and row[7] is None] == numbers
    in_files = sum(pq.read_metadata(path).num_rows for _, path in parts(folder))
    assert in_files == len(rows)  # nothing is left in the journal
    in_csv = [row for n, _ in parts(folder) for row in read_csv(folder / part_name(n, "csv"))]
    assert [row["payload"].encode() for row in in_csv] == [row[-1] for row in rows]


def test_a_market_heard_over_a_broker_has_the_report_of_the_simulation(
    market: Result, tmp_path: Path
) -> None:
    """Its time is told on `clock`, as a live market tells it."""
    folder, instant = tmp_path / "r", None
    rows = market.tables["messages"].sort_by([("at", "ascending"), ("wave", "ascending")]).to_pylist()
    with hub(tmp_path) as (url, say), collecting(folder, url) as collector:
        await_listening(folder, say, collector)
        say("timer", [b"start"])
        for row in rows:
            if row["at"] != instant:
                instant = row["at"]
                now = Time(int(instant.timestamp()))
                say("clock", [ClockNews(start=Time(0), speed=0.0, simulated_time=now).written()])
            if row["topic"] != "timer":
                say(row["topic"], [row["payload"].encode()])
        say("end", [b"end"])
        await_kept(folder, lambda found: b"end" in found)
        collector.send_signal(signal.SIGTERM)
        _, errors = collector.communicate(timeout=PATIENCE_SECONDS)
        assert collector.returncode == 0, errors

    code, said, _ = invoke("report", folder, "--json")

    assert code == 0
    assert json.loads(said) == market.metrics


def test_a_collector_whose_disk_is_full_leaves_what_it_cannot_keep_with_the_broker(tmp_path: Path) -> None:
    folder, large = tmp_path / "r", os.urandom(2_000).hex().encode()
    with hub(tmp_path) as (url, say):
        with collecting(folder, url, program=SMALL_DISK) as first:
            await_listening(folder, say, first)
            say("t", [b"%d %s" % (number, large) for number in range(60)])
            _, errors = first.communicate(timeout=PATIENCE_SECONDS)
            assert first.returncode == 1
            assert "journal.sqlite" in errors
            assert "Traceback" not in errors
        with collecting(folder, url) as second:
            await_kept(folder, lambda found: any(it.startswith(b"59 ") for it in found))
            second.send_signal(signal.SIGINT)
            _, errors = second.communicate(timeout=PATIENCE_SECONDS)
            assert second.returncode == 0, errors

    rows = [row for row in record_rows(folder) if row[3] == "t" and row[7] is None]
    assert [int(row[-1].split()[0]) for row in rows] == list(range(60))


def test_it_keeps_what_its_filters_match(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    with hub(tmp_path) as (url, say):
        options = ("--filter", "knock", "--filter", "EV/+/ReservationOutcome")
        with collecting(folder, url, *options) as process:
            await_listening(folder, say, process)
            say("CS/cs/RegisterChargingStation", [b"no"])
            say("EV/ev/ReservationOutcome", [b"yes"])
            await_kept(folder, lambda found: b"yes" in found)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, errors
    assert set(kept(folder)) == {b"knock", b"yes"}


def test_it_stops_by_itself_and_says_what_it_has(tmp_path: Path) -> None:
    with hub(tmp_path) as (url, _), collecting(tmp_path / "r", url, "--seconds", "0.5") as process:
        said, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    assert "0 messages recorded, 0 in all" in said


def test_a_password_comes_from_the_environment_and_is_never_shown(tmp_path: Path) -> None:
    users = tmp_path / "users.toml"
    hashed = CliRunner().invoke(app, ["hub", "password"], input="canary-word\n").stdout.strip()
    rights = 'publish = ["#"]\nsubscribe = ["#"]'
    users.write_text(f'[users.alice]\npassword = "{hashed}"\n{rights}\n', encoding="utf-8")
    with running_hub(websocket=None, users=users) as running:
        url = f"mqtt://127.0.0.1:{running.mqtt_port}"
        for password, code in (("canary-word", 0), ("wrong-canary", 1)):
            environment = {**os.environ, "username": "alice", "password": password}
            options = ["--broker", url, "--out", str(tmp_path / password), "--seconds", "2"]
            done = subprocess.run(
                [sys.executable, "-c", MAIN, "collect", *options],
                env=environment,
                capture_output=True,
                text=True,
            )
            assert done.returncode == code, done.stderr
            assert "canary" not in done.stderr
    assert "user or password" in done.stderr
    assert b"canary" not in (tmp_path / "canary-word" / "journal.sqlite").read_bytes()
