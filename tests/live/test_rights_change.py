"""Rights that are taken back are gone: at once in a hub, at the reload in mosquitto."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hub_thread import running_hub
from market_brokers import ROOT, Client, join, market_mosquitto, mosquitto_accounts, until
from market_rights import owners

from voltagora.brokers import mosquitto as files
from voltagora.hub.errors import HubError
from voltagora.hub.passwords import hash_password
from voltagora.hub.rights import Grant
from voltagora.live.owners import Owners
from voltagora.live.rights import MarketUsers, grants

ANSWER = "EV/v1/ReservationOutcome"
CAR_OF_EV = {"ev": 'vehicle = ["v1"]', "cs": 'station = ["s1"]', "op": "operator = true"}
CAR_OF_EV2 = CAR_OF_EV | {"ev": "", "ev2": 'vehicle = ["v1"]'}


def write(path: Path, users: dict[str, str]) -> None:
    path.write_text(
        "".join(
            f'[users.{user}]\npassword = "{hash_password(user, salt=bytes(16))}"\n{owned}\n'
            for user, owned in users.items()
        )
    )


def test_a_car_that_was_sold_is_its_new_owner_s_at_once(tmp_path: Path) -> None:
    path, table = tmp_path / "market.toml", Owners({})
    write(path, CAR_OF_EV)
    with running_hub(rights=MarketUsers(path, table)) as hub, contextlib.ExitStack() as stack:
        car, station = join(stack, hub.mqtt_port, "ev"), join(stack, hub.mqtt_port, "cs")
        boss = join(stack, hub.mqtt_port, "op")
        car.subscribe(ANSWER)
        boss.subscribe("#")
        station.publish_and_wait(ANSWER, b"before")
        until(lambda: (ANSWER, b"before") in car.heard, pause=0)
        assert table.owner("v1") == "ev"

        write(path, CAR_OF_EV2)
        hub.call(hub.hub.look_at_users)
        new = join(stack, hub.mqtt_port, "ev2")
        new.subscribe(ANSWER)
        station.publish_and_wait(ANSWER, b"after")
        car.publish("EV/v1/RequestChargingRecommendations", b"stolen")

        until(lambda: (ANSWER, b"after") in new.heard)
        assert (ANSWER, b"after") not in car.heard
        assert not any(payload == b"stolen" for _, payload in boss.heard)
        assert table.owner("v1") == "ev2"


def test_a_file_that_is_wrong_changes_nothing_and_is_told_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "market.toml"
    write(path, CAR_OF_EV)
    users = MarketUsers(path)
    path.write_text('[users.ev]\npassword = "secret"\nvehicles = []\n')

    with pytest.raises(HubError) as caught:
        users.reload()

    assert "users.ev.password" in str(caught.value)
    assert "users.ev.vehicles" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert users.may_publish("ev", "EV/v1/RequestChargingRecommendations")
    assert users.owners.owner("v1") == "ev"


def test_mosquitto_takes_rights_back_when_it_reads_its_files_again(tmp_path: Path) -> None:
    known = {**grants(owners()), ROOT: Grant(("#",), ("#",))}
    with market_mosquitto(tmp_path, known) as broker, contextlib.ExitStack() as stack:
        root, car = join(stack, broker.port, ROOT), join(stack, broker.port, "ev")
        root.subscribe("#")
        for text in (ANSWER, "timer"):
            car.subscribe(text)
        root.publish_and_wait(ANSWER, b"before")
        until(lambda: (ANSWER, b"before") in car.heard, pause=0)

        known["ev"] = Grant(subscribe=("timer",))
        known["late"] = Grant()
        files.write(tmp_path / "rights", mosquitto_accounts(known))
        files.reload(broker.pid)
        until(lambda: _comes_in(broker.port, "late"), pause=0)
        root.publish_and_wait(ANSWER, b"after")
        root.publish_and_wait("timer", b"start")
        car.publish("EV/v1/RequestChargingRecommendations", b"stolen")

        until(lambda: ("timer", b"start") in car.heard)
        assert (ANSWER, b"after") not in car.heard
        assert not any(payload == b"stolen" for _, payload in root.heard)


def _comes_in(port: int, user: str) -> bool:
    client = Client(port, user)
    client.close()
    return client.refusal is None
