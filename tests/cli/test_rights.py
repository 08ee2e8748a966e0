"""`voltagora rights` as an operator meets it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from voltagora.brokers.mosquitto import mosquitto_hash
from voltagora.cli.main import app
from voltagora.hub.passwords import hash_password
from voltagora.hub.users import Users

SECRET = "geheim"


def market(folder: Path, more: str = "", vehicle: str = "EV1") -> Path:
    path = folder / "market.toml"
    aside = folder / "aside.toml"
    aside.write_text(
        f'[users.fleet]\npassword = "{hash_password(SECRET, salt=bytes(16))}"\n'
        f'mosquitto = "{mosquitto_hash(SECRET)}"\nvehicle = ["{vehicle}"]\n{more}'
    )
    aside.replace(path)
    return path


def called(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["rights", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_it_shows_who_may_do_what(tmp_path: Path) -> None:
    code, said, _ = called(market(tmp_path))

    assert code == 0
    assert said.startswith("fleet\n")
    assert "  publishes EV/EV1/RequestChargingRecommendations\n" in said
    assert "  reads     EV/EV1/ReservationOutcome\n" in said


def test_programs_get_json(tmp_path: Path) -> None:
    code, said, _ = called(market(tmp_path), "--json")

    assert code == 0
    assert "presence/EV1" in json.loads(said)["fleet"]["publish"]


def test_a_hub_and_a_mosquitto_get_files(tmp_path: Path) -> None:
    users = market(tmp_path)
    code, said, _ = called(users, "--hub", tmp_path / "hub.toml", "--mosquitto", tmp_path / "m")

    assert code == 0
    assert SECRET not in said
    rights = Users(tmp_path / "hub.toml")
    assert rights.may_publish("fleet", "EV/EV1/RequestChargingRecommendations")
    assert not rights.may_publish("fleet", "EV/EV2/RequestChargingRecommendations")
    assert sorted(each.name for each in (tmp_path / "m").iterdir()) == [
        "access",
        "passwords",
        "voltagora.conf",
    ]
    assert "topic write EV/EV1/RequestChargingRecommendations" in (tmp_path / "m" / "access").read_text()


@pytest.mark.parametrize(
    ("more", "words", "said"),
    [
        ("", ["--pid", "1"], "--pid: got 1, must be given together with --mosquitto"),
        ("", ["--rabbitmq", "1883"], "--rabbitmq: got '1883', must be HOST:PORT"),
        ("vehicles = []", [], "users.fleet.vehicles: got 'vehicles', must be one of"),
        ('[users.x]\npassword = "geheim"', [], "users.x.password: got something else, must be a line from"),
        ("[users.'a:b']", [], "users.a:b: got 'a:b', must be a name of"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, more: str, words: list[str], said: str) -> None:
    code, _, error = called(market(tmp_path, more), *words)

    assert code == 2
    assert said in error
    assert SECRET not in error


def test_the_users_file_is_not_overwritten(tmp_path: Path) -> None:
    users = market(tmp_path)
    before = users.read_text()

    assert called(users, "--hub", users)[0] == 2
    assert users.read_text() == before


def test_a_market_with_users_is_told_who_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("username", raising=False)
    words = ["live", "quickstart", "--mqtt", "127.0.0.1:0", "--users", str(market(tmp_path))]
    done = CliRunner().invoke(app, words)

    assert done.exit_code == 2
    assert "username and password in the environment" in done.stderr


def test_rabbitmq_is_answered_and_told_of_changes(tmp_path: Path) -> None:
    users = market(tmp_path)
    command = [sys.executable, "-m", "voltagora", "rights", str(users), "--rabbitmq", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            _ask_and_change(tmp_path, process.stdout)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        finally:
            process.kill()


def _ask_and_change(folder: Path, says: Any) -> None:
    lines = [says.readline() for _ in range(6)]
    found = re.match(r"auth_http\.user_path = (http://127\.0\.0\.1:\d+/auth/)user$", lines[0])
    assert found is not None
    topic = {"username": "fleet", "vhost": "/", "resource": "topic", "name": "amq.topic"}
    wish = urlencode(topic | {"permission": "read", "routing_key": "EV.EV2.ReservationOutcome"})
    assert _answer(f"{found[1]}topic?{wish}") == b"deny"

    market(folder, "station = 5")
    assert says.readline().startswith("not taken: users.fleet.station: got 5")
    market(folder, 'station = ["CS1"]', "EV2")
    assert says.readline() == "taken; changed: fleet\n"
    assert _answer(f"{found[1]}topic?{wish}") == b"allow"


def _answer(url: str) -> bytes:
    with urlopen(url) as answer:
        found: bytes = answer.read()
    return found
