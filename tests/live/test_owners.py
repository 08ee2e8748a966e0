"""An agent has one owner, and a file that is wrong says all that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from voltagora.domain.errors import InputErrors
from voltagora.live.owners import Owners
from voltagora.live.rights import grants, mosquitto_accounts
from voltagora.protocols.topic import Kind

STORED = "scrypt$14,8,1$AAAAAAAAAAAAAAAAAAAAAA==$" + "A" * 43 + "="


def of(**users: dict[str, object]) -> Owners:
    return Owners.of({"users": {user: {"password": STORED, **entry} for user, entry in users.items()}})


def test_owners_know_who_owns_what() -> None:
    owners = of(fleet={"vehicle": ["EV1", "EV2"]}, grid={"imbalance": ["ei"]})

    assert owners.owner("EV2") == "fleet"
    assert owners.owner("EV3") is None
    assert owners.kind("ei") is Kind.IMBALANCE
    assert owners.of_kind(Kind.VEHICLE) == ["EV1", "EV2"]


def test_an_id_has_one_owner_over_all_kinds() -> None:
    with pytest.raises(
        InputErrors, match=r"users\.b\.station: got 'X', must be an id nobody owns yet; a does"
    ):
        of(a={"vehicle": ["X"]}, b={"station": ["X"]})
    with pytest.raises(InputErrors, match="an id nobody owns yet"):
        of(a={"vehicle": ["X"], "station": ["X"]})


def test_all_mistakes_are_told_at_once_and_no_password() -> None:
    document = {
        "users": {
            "a": {"password": "secret", "vehicle": ["with/slash", 5], "stations": []},
            "b": {"password": STORED, "operator": "yes", "mosquitto": "secret"},
            "c": 5,
        },
        "people": {},
    }

    with pytest.raises(InputErrors) as caught:
        Owners.of(document)

    told = str(caught.value)
    for word in (
        "people",
        "users.a.password",
        "users.a.vehicle[0]",
        "users.a.vehicle[1]",
        "users.a.stations",
        "did you mean 'station'",
        "users.b.operator",
        "users.b.mosquitto",
        "users.c",
    ):
        assert word in told
    assert "secret" not in told


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "market.toml"
    file.write_text(f'[users.fleet]\npassword = "{STORED}"\nvehicle = ["EV1"]\n')

    assert Owners.read(file).owner("EV1") == "fleet"
    with pytest.raises(InputErrors, match="a file"):
        Owners.read(tmp_path / "missing.toml")


def test_an_operator_speaks_for_nobody_and_a_reader_says_nothing() -> None:
    rights = grants(of(op={"operator": True}, rd={"reader": True}))

    assert rights["op"].publish == ("timer", "clock")
    assert rights["rd"].publish == ()
    assert rights["rd"].subscribe == ("#",)


def test_mosquitto_needs_hashes_of_its_own() -> None:
    with pytest.raises(InputErrors, match=r"users\.a\.mosquitto: got nothing"):
        mosquitto_accounts(of(a={}))
