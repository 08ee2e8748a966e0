"""Puts one agent to the test: opens the stage, makes every check, and sums up what was heard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterator
from typing import Any

import msgspec

from voltagora.live.conform.check import Checks, Finding, Missing, Verdict
from voltagora.live.conform.market import Play, Setting
from voltagora.live.conform.stage import GRACE_SECONDS, Manners, shown
from voltagora.live.transport import Transport
from voltagora.protocols.catalogue import PROTOCOLS
from voltagora.protocols.message import Reply, Request
from voltagora.protocols.topic import Kind

Told = Callable[[Finding], None]


def _nothing(finding: Finding) -> None:
    """Tell nobody."""


def stages() -> dict[Kind, tuple[type[Play], Checks]]:
    """Give what each kind of agent is checked by."""
    from voltagora.live.conform.area import BOTH, IMBALANCE, PRICING, AreaPlay
    from voltagora.live.conform.profile import CHECKS as PROFILE
    from voltagora.live.conform.profile import ProfilePlay
    from voltagora.live.conform.recommender import CHECKS as RECOMMENDER
    from voltagora.live.conform.recommender import RecommenderPlay
    from voltagora.live.conform.station import StationPlay
    from voltagora.live.conform.station_checks import CHECKS as BOOKING
    from voltagora.live.conform.station_duties import CHECKS as DUTIES
    from voltagora.live.conform.vehicle import CHECKS as VEHICLE
    from voltagora.live.conform.vehicle import VehiclePlay

    return {
        Kind.STATION: (StationPlay, Checks([*BOOKING, *DUTIES])),
        Kind.VEHICLE: (VehiclePlay, VEHICLE),
        Kind.RECOMMENDER: (RecommenderPlay, RECOMMENDER),
        Kind.IMBALANCE: (AreaPlay, Checks([*BOTH, *IMBALANCE])),
        Kind.PRICING: (AreaPlay, Checks([*BOTH, *PRICING])),
        Kind.PRODUCER: (ProfilePlay, PROFILE),
        Kind.CONSUMER: (ProfilePlay, PROFILE),
    }


async def examine(
    transport: Transport,
    kind: Kind,
    id: str,
    *,
    manners: Manners | None = None,
    setting: Setting | None = None,
    only: Container[str] | None = None,
    told: Told = _nothing,
) -> list[Finding]:
    """Put an agent to the test.

    Args:
        transport: a connection that may read and publish everything.
        kind: of the agent.
        id: the agent's.
        manners: how long things may take, and whether slow checks are made.
        setting: the market that the agent believes to be in.
        only: names of the checks to make; None: all.
        told: called with each finding as it is made.

    Returns:
        What was found, one finding a check, protocol by protocol.

    Raises:
        VoltAgoraError: the broker refuses us for good.
    """
    stage, checks = stages()[kind]
    play = stage(transport, kind, id, manners or Manners(), setting or Setting())
    findings: list[Finding] = []

    def note(finding: Finding) -> None:
        findings.append(finding)
        told(finding)

    try:
        await play.open()
        chosen = Checks(check for check in checks if only is None or check.name in only)
        await _perform(play, chosen, note)
    finally:
        await play.close()
    order = [protocol.code for protocol in PROTOCOLS]
    return sorted(findings, key=lambda it: order.index(it.protocol) if it.protocol in order else len(order))


async def _perform(play: Play, checks: Checks, note: Told) -> None:
    try:
        await play.prepare()
    except Missing as error:
        for check in checks:
            note(check.finding(Verdict.NOT_CHECKED, "it was never heard"))
        note(_finding("presence", "is_heard", "the agent is there", Verdict.MISSING, str(error)))
        return
    for check in checks:
        if not check.is_slow:
            note(await check.find(play))
    slow = [check for check in checks if check.is_slow]
    if play.manners.is_quick:
        for check in slow:
            note(check.finding(Verdict.NOT_CHECKED, "left out by --quick"))
    else:
        for finding in await asyncio.gather(*(check.find(play) for check in slow)):
            note(finding)
    await asyncio.sleep(GRACE_SECONDS)
    for finding in _general(play):
        note(finding)


def _finding(protocol: str, check: str, promise: str, verdict: Verdict, detail: str = "") -> Finding:
    return Finding(protocol=protocol, check=check, promise=promise, verdict=verdict, detail=detail)


def _general(play: Play) -> Iterator[Finding]:
    """Look at all that was heard, whatever it was said for."""
    for protocol in PROTOCOLS:
        heard = [it for it in play.heard if it.kind is not None and it.kind.protocol == protocol.code]
        if heard:
            wrong = next((it for it in heard if it.error is not None), None)
            detail = "" if wrong is None else f"{wrong.error}: {shown(wrong)}"
            verdict = Verdict.RIGHT if wrong is None else Verdict.WRONG
            yield _finding(
                protocol.code, "speaks_the_contract", "all it says is of the contract", verdict, detail
            )
    yield _judged("msg_id", "one_meaning", "a msg_id stands for one message", _reused(play))
    yield _judged(
        "MQTT", "retains_nothing", "requests and replies are not retained", ", ".join(play.wrongly_retained)
    )
    here = "" if play.presence == b"online" else f"presence/{play.id} says {play.presence!r}"
    verdict = Verdict.MISSING if here else Verdict.RIGHT
    yield _finding("presence", "says_online", "its presence is `online`, retained", verdict, here)


def _judged(protocol: str, check: str, promise: str, detail: str) -> Finding:
    return _finding(protocol, check, promise, Verdict.WRONG if detail else Verdict.RIGHT, detail)


def _reused(play: Play) -> str:
    first: dict[str, Any] = {}
    for heard in play.heard:
        message = heard.message
        if isinstance(message, Request) and not isinstance(message, Reply):
            known = first.setdefault(message.msg_id, heard)
            if known.document != heard.document:
                return f"{message.msg_id} stands for {shown(known)} and for {shown(heard)}"
    return ""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How often each verdict was given."""

    right: int
    wrong: int
    missing: int
    not_checked: int

    @classmethod
    def of(cls, findings: list[Finding]) -> Summary:
        """Count."""
        counted = {verdict: sum(it.verdict is verdict for it in findings) for verdict in Verdict}
        return cls(
            right=counted[Verdict.RIGHT],
            wrong=counted[Verdict.WRONG],
            missing=counted[Verdict.MISSING],
            not_checked=counted[Verdict.NOT_CHECKED],
        )

    @property
    def is_conformant(self) -> bool:
        """Whether nothing was wrong or missing."""
        return self.wrong == 0 and self.missing == 0
