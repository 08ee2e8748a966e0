"""Gate: any order of publishing, answering, committing, losing the line and crashing."""

from __future__ import annotations

import pytest
from hub_durable import Durable
from hub_stage import (
    Packet,
)
from hypothesis import given, settings
from hypothesis import strategies as st

steps = st.lists(
    st.sampled_from(
        ["publish1", "publish2", "mouth answers", "ear answers", "commit", "cut ear", "cut mouth", "crash"]
    ),
    max_size=60,
)


class Exchange:
    """A publisher that repeats until it is answered, a subscriber that keeps the protocol's promise."""

    def __init__(self, stage: Durable) -> None:
        self.stage = stage
        self.unanswered: dict[int, tuple[bytes, int, bool]] = {}
        self.answered: dict[bytes, int] = {}
        self.got: list[bytes] = []
        self.known: set[int] = set()
        self.count = 0
        self.mouth = stage.kept("mouth")
        self.ear = stage.kept("ear")
        stage.subscribe(self.ear, "a")
        self.to_answer: list[Packet] = []

    def publish(self, qos: int) -> None:
        self.count += 1
        payload = str(self.count).encode()
        number = next(each for each in range(1, 100) if each not in self.unanswered)
        self.unanswered[number] = (payload, qos, False)
        self.mouth.publish("a", payload, qos, number=number)

    def mouth_answers(self) -> None:
        for each in self.mouth.take():
            if each.kind == "pubrec" and each.packet in self.unanswered:
                payload, qos, _ = self.unanswered[each.packet]
                self.unanswered[each.packet] = (payload, qos, True)
                self.mouth.connection.receive(b"\x62\x02" + each.packet.to_bytes(2, "big"))
            elif each.kind in ("puback", "pubcomp") and each.packet in self.unanswered:
                payload, qos, _ = self.unanswered.pop(each.packet)
                self.answered[payload] = qos

    def ear_answers(self) -> None:
        for each in self.ear.take():
            number = each.packet.to_bytes(2, "big")
            if each.kind == "publish" and each.qos == 2:
                if each.packet not in self.known:
                    self.known.add(each.packet)
                    self.got.append(each.payload)
                self.ear.connection.receive(b"\x50\x02" + number)
            elif each.kind == "publish":
                self.got.append(each.payload)
                self.ear.connection.receive(b"\x40\x02" + number)
            elif each.kind == "pubrel":
                self.known.discard(each.packet)
                self.ear.connection.receive(b"\x70\x02" + number)

    def back(self, who: str) -> None:
        if who == "ear":
            self.ear = self.stage.kept("ear")
            return
        self.mouth = self.stage.kept("mouth")
        for number, (payload, qos, released) in list(self.unanswered.items()):
            if released:
                self.mouth.connection.receive(b"\x62\x02" + number.to_bytes(2, "big"))
            else:
                self.mouth.publish("a", payload, qos, number=number, again=True)

    def do(self, step: str) -> None:
        if step.startswith("publish"):
            self.publish(int(step[-1]))
        elif step == "mouth answers":
            self.mouth_answers()
        elif step == "ear answers":
            self.ear_answers()
        elif step == "commit":
            self.stage.commit()
        elif step == "crash":
            self.stage = self.stage.crash()
            self.back("ear")
            self.back("mouth")
        else:
            getattr(self, step[4:]).cut()
            self.back(step[4:])


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_acknowledged_message_is_lost_and_none_of_exactly_once_doubled(
    tmp_path_factory: pytest.TempPathFactory, program: list[str]
) -> None:
    exchange = Exchange(Durable(tmp_path_factory.mktemp("hub")))
    for step in program:
        exchange.do(step)
    for _ in range(8):
        for step in ("commit", "mouth answers", "ear answers", "commit"):
            exchange.do(step)

    assert exchange.unanswered == {}
    assert set(exchange.got) == set(exchange.answered) == {str(n + 1).encode() for n in range(exchange.count)}
    doubled = {payload for payload in exchange.got if exchange.got.count(payload) > 1}
    assert all(exchange.answered[payload] == 1 for payload in doubled)
    exchange.stage.database.close()
