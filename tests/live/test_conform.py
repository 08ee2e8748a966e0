"""Both strangers keep every promise of the contract; each promise broken on purpose is seen by conform."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from strangers import ROOT, Change, has_node, lay_out, need_node, stranger

from voltagora import Hub
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.conform.check import Finding, Verdict
from voltagora.live.conform.examine import Summary, examine
from voltagora.live.conform.market import Setting
from voltagora.live.conform.stage import Manners
from voltagora.live.mqtt import MqttTransport
from voltagora.protocols.topic import Kind

REPLY_SECONDS = 1.5
AT_ONCE = 12
"""How many agents are put to the test side by side."""
GOOD = "as it is"
SLOW = {"cancels_what_nobody_answered", "repeats_cp1"}
BAD = (Verdict.WRONG, Verdict.MISSING)

Fault = tuple[str, tuple[Change, ...]]
"""The check that must see it, and how it is done to the example."""

STATION_FAULTS: dict[str, Fault] = {
    "answers twice": (
        "answers_once",
        (("station.py", "] = topic, reply\n", "] = topic, reply\n        self.mailbox.say(topic, reply)\n"),),
    ),
    "forgets what it answered": (
        "answers_repeats",
        (
            ("station.py", "] = topic, reply\n", "] = topic, reply\n        self.replies.clear()\n"),
            ("station.py", 'self.outcomes[offer["id"]] = offer, outcome', "pass"),
        ),
    ),
    "answers anew under another msg_id": (
        "keeps_its_answer",
        (("station.py", 'self.outcomes[offer["id"]] = offer, outcome', "pass"),),
    ),
    "books overlapping stays": (
        "books_nothing_twice",
        (("station.py", 'is_same = booking.connector == connector["id"]', "is_same = False"),),
    ),
    "takes stays for closed": (
        "books_what_only_touches",
        (("session.py", "times(recommendation)", "(lambda a, d: (a - 1, d + 1))(*times(recommendation))"),),
    ),
    "needs nobody to vouch": (
        "books_nothing_unvouched",
        (("station.py", 'if reply is None or not reply["accepted"]:', "if reply is None:"),),
    ),
    "believes whoever answers": (
        "believes_the_recommender_alone",
        (
            ("post.py", ' or reply["responder"] not in question.whom', ""),
            ("post.py", 'question.whom.discard(reply["responder"])', "question.whom.clear()"),
        ),
    ),
    "does not name the field": (
        "refuses_bad_cp2",
        (("station.py", '"field": field}', '"field": "payload"}'),),
    ),
    "checks no bounds": (
        "refuses_bad_cp3",
        (("contract.py", "def check_number(value, schema, path):\n", "def check_number(*_):\n    return\n"),),
    ),
    "gives less than was asked": (
        "books_nothing_infeasible",
        (("station.py", 'if wish["energy_kwh"] > possible + 1e-6:', "if False:"),),
    ),
    "bills what it pays": (
        "books_a_slot",
        (("station.py", "zip(energies, buy, strict=True)", "zip(energies, sell, strict=True)"),),
    ),
    "lets nobody cancel": (
        "lets_cancel",
        (("station.py", 'cancels = request["terms"].get("energy_kwh") == 0', "cancels = False"),),
    ),
    "lets everybody cancel": (
        "protects_reservations",
        (("station.py", "booking.vehicle != vehicle", "False"),),
    ),
    "forgets cancellations": (
        "remembers_what_it_never_saw",
        (("station.py", "self.released.add((reservation, vehicle))", "pass"),),
    ),
    "keeps availability to itself": (
        "tells_the_availability",
        (("station.py", "if self.recommender in whom:", "if False:"),),
    ),
    "does not count revisions": (
        "lets_cancel",
        (("session.py", "self.revision += 1", "self.revision += 0"),),
    ),
    "goes back to older prices": (
        "ignores_stale_prices",
        (("station.py", ' and revision >= self.revisions.get(news["day"], 0)', ""),),
    ),
    "goes by other areas' prices": (
        "ignores_stale_prices",
        (("station.py", 'news["grid_area"] == self.settings.grid_area and ', ""),),
    ),
    "asks for no prices": (
        "asks_for_missing_prices",
        (("station.py", "if not missing:", "if True:"),),
    ),
    "does not mind being forgotten": (
        "registers_where_forgotten",
        (("station.py", 'reply.get("reason") == "not_registered"', "False"),),
    ),
    "does not see who comes back": (
        "tells_who_comes_back",
        (("station.py", 'message.payload == b"online"', "False"),),
    ),
    "asks once and never again": (
        "gives_up_on_a_silent_recommender",
        (("post.py", "if now < question.due or", "if True or"),),
    ),
    "asks again with another msg_id": (
        "gives_up_on_a_silent_recommender",
        (
            (
                "post.py",
                "            self.say(question.topic, question.message)\n",
                '            self.say(question.topic, question.message | {"msg_id": str(int(now * 1000))})\n',
            ),
        ),
    ),
}
"""What a station may get wrong."""

VEHICLE_FAULTS: dict[str, Fault] = {
    "takes offers to others": (
        "books_what_it_was_offered",
        (("vehicle.mjs", ".filter((offer) => offer.vehicle === this.id)", ""),),
    ),
    "believes any station": (
        "believes_the_station_alone",
        (("vehicle.mjs", "!whom.includes(reply.responder) || ", ""),),
    ),
    "does not try the next station": (
        "believes_the_station_alone",
        (("vehicle.mjs", "if (!outcome) {", "if (true) {"),),
    ),
    "books on in uncertainty": (
        "cancels_what_nobody_answered",
        (("vehicle.mjs", "await this.cancel(offer);", ""),),
    ),
    "changes what it repeats": (
        "repeats_cp1",
        (("vehicle.mjs", "this.say(topic, request);", "this.say(topic, { ...request, sends });"),),
    ),
    "lets any reservation be changed": (
        "knows_its_reservations",
        (("vehicle.mjs", "this.held?.reservation !== request.reservation", "!this.held"),),
    ),
    "does not answer proposals again": (
        "answers_a_station_again",
        (
            (
                "vehicle.mjs",
                "if (!this.answers.has(key)) this",
                "if (this.answers.has(key)) return null; this",
            ),
        ),
    ),
    "does not name the field": (
        "refuses_bad_cp3",
        (("vehicle.mjs", "field: error.message", 'field: "payload"'),),
    ),
}
"""What a vehicle may get wrong."""


async def put_to_the_test(
    url: str,
    folder: Path,
    kind: Kind,
    id: str,
    *,
    only: set[str] | None = None,
    changes: tuple[Change, ...] = (),
    is_quick: bool = False,
) -> list[Finding]:
    program = "station.py" if kind is Kind.STATION else "vehicle.mjs"
    options = ["--id", id, "--reply-seconds", str(REPLY_SECONDS)]
    setting = Setting()
    if kind is Kind.STATION:  # Each in a market of its own, so that many can be tried at once.
        options += ["--network", id, "--grid-area", id]
        setting = Setting(network=id, grid_area=id)
    manners = Manners(patience_seconds=4.0, reply_seconds=REPLY_SECONDS, wait_seconds=15.0, is_quick=is_quick)
    async with stranger(lay_out(folder / id, changes), program, url, *options):
        transport = MqttTransport(BrokerUrl.parse(url), client_id=f"conform-{id}", clean=True)
        return await examine(transport, kind, id, manners=manners, setting=setting, only=only)


def all_put_to_the_test(folder: Path) -> dict[tuple[Kind, str], list[Finding]]:
    """Put both strangers and all their faulty variants to the test; they mostly wait, so side by side."""
    cases: dict[tuple[Kind, str], Fault] = {
        (Kind.STATION, GOOD): ("", ()),
        **{(Kind.STATION, name): fault for name, fault in STATION_FAULTS.items()},
    }
    if has_node():
        cases[Kind.VEHICLE, GOOD] = ("", ())
        cases |= {(Kind.VEHICLE, name): fault for name, fault in VEHICLE_FAULTS.items()}

    async def all_of_them() -> dict[tuple[Kind, str], list[Finding]]:
        few = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, kind: Kind, fault: Fault) -> list[Finding]:
            check, changes = fault
            only = {check} if check and kind is Kind.STATION else None  # A vehicle's checks are one story.
            is_quick = kind is Kind.VEHICLE and bool(check) and check not in SLOW
            async with few:
                return await put_to_the_test(
                    url, folder, kind, f"x{number}", only=only, changes=changes, is_quick=is_quick
                )

        async with Hub(mqtt="127.0.0.1:0") as hub:
            url = f"mqtt://127.0.0.1:{hub.mqtt_port}"
            ordered = sorted(
                cases.items(), key=lambda case: case[0][0] is Kind.STATION and case[0][1] != GOOD
            )
            runs = [one(number, key[0], fault) for number, (key, fault) in enumerate(ordered)]
            return dict(zip([key for key, _ in ordered], await asyncio.gather(*runs), strict=True))

    return asyncio.run(all_of_them())


def not_seen(
    kind: Kind, faults: dict[str, Fault], found: dict[tuple[Kind, str], list[Finding]]
) -> dict[str, list[Finding]]:
    """Give the faults that the check meant for them did not see."""
    return {
        name: found[kind, name]
        for name, (check, _) in faults.items()
        if not any(it.check == check and it.verdict in BAD for it in found[kind, name])
    }


def shortcomings(findings: list[Finding]) -> list[Finding]:
    assert Summary.of(findings).right > 20
    return [it for it in findings if it.verdict is not Verdict.RIGHT]


def test_the_strangers_keep_every_promise_and_each_fault_is_seen(tmp_path: Path) -> None:
    # One test, since all of it waits side by side.
    found = all_put_to_the_test(tmp_path)

    assert shortcomings(found[Kind.STATION, GOOD]) == []
    assert not_seen(Kind.STATION, STATION_FAULTS, found) == {}
    need_node()
    assert shortcomings(found[Kind.VEHICLE, GOOD]) == []
    assert not_seen(Kind.VEHICLE, VEHICLE_FAULTS, found) == {}


def test_the_page_lists_the_faults_that_are_seen() -> None:
    page = (ROOT / "docs" / "strangers.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- (station|vehicle): (.+)$", page, re.MULTILINE)

    assert [name for kind, name in listed if kind == "station"] == list(STATION_FAULTS)
    assert [name for kind, name in listed if kind == "vehicle"] == list(VEHICLE_FAULTS)


def test_an_agent_that_is_not_there_is_missing() -> None:
    async def tested() -> list[Finding]:
        async with Hub(mqtt="127.0.0.1:0") as hub:
            url = BrokerUrl.parse(f"mqtt://127.0.0.1:{hub.mqtt_port}")
            transport = MqttTransport(url, client_id="conform", clean=True)
            manners = Manners(patience_seconds=0.2, wait_seconds=0.5)
            return await examine(transport, Kind.STATION, "nobody", manners=manners)

    findings = asyncio.run(tested())

    assert {it.verdict for it in findings} == {Verdict.MISSING, Verdict.NOT_CHECKED}
    assert not Summary.of(findings).is_conformant
