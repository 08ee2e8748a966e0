"""What all other sides have in common: names, the calendar, and how they behave where nothing is tested."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.location import Location
from voltagora.domain.series import PriceSeries
from voltagora.domain.units import Time
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.live.conform.check import Missing, Wrong
from voltagora.live.conform.stage import CALL_SECONDS, Heard, Manners, Replies, Stage, shown
from voltagora.live.transport import Transport
from voltagora.protocols.access import presence_topic
from voltagora.protocols.cp06_imbalance import ElectricityImbalance, ElectricityImbalanceRequest
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.message import Outcome, Refusal, Request
from voltagora.protocols.topic import Kind

VEHICLE: Final = "conform-ev-1"
OTHER_VEHICLE: Final = "conform-ev-2"
STATION: Final = "conform-cs-1"
OTHER_STATION: Final = "conform-cs-2"
STRANGER: Final = "conform-nobody"
PLACE: Final = Location(latitude=0.0, longitude=0.0)
HOUR: Final = 3600


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent is told of its market; what it says itself counts more."""

    network: str = "main"
    grid_area: str = "main"
    imbalance: str | None = None  # ei-<grid_area>
    pricing: str | None = None  # md-<grid_area>
    recommenders: tuple[str, ...] = ()  # sr-<network>
    time_zone: str = "UTC"
    step_minutes: int = 60


class Play(Stage):
    """A stage with a market around it.

    Args:
        transport: the connection.
        kind: of the agent that is put to the test.
        id: the agent's.
        manners: how long things may take.
        setting: the market.
    """

    def __init__(self, transport: Transport, kind: Kind, id: str, manners: Manners, setting: Setting) -> None:
        super().__init__(transport, kind, id, manners)
        self.network = setting.network
        self.grid_area = setting.grid_area
        self.setting = setting
        self.calendar = Calendar(setting.time_zone, setting.step_minutes)
        self._stays = 0
        self.answer(ElectricityImbalanceRequest, self._no_imbalance)

    async def prepare(self) -> None:
        """Get so far that checks can begin.

        Raises:
            Missing: the agent is not there.
        """

    @property
    def imbalance(self) -> str:
        """Name of the EI."""
        return self.setting.imbalance or f"ei-{self.grid_area}"

    @property
    def pricing(self) -> str:
        """Name of the MD."""
        return self.setting.pricing or f"md-{self.grid_area}"

    @property
    def recommender(self) -> str:
        """Name of the network's SR."""
        return self.setting.recommenders[0] if self.setting.recommenders else f"sr-{self.network}"

    def outcomes(
        self, kind: type[Outcome], *speakers: Kind, reason: Refusal | None = None
    ) -> Callable[[Any, Any], Replies]:
        """Answer requests as these kinds of agents: with yes, or with no and a reason."""

        def replies(request: Request, _address: tuple[str, ...]) -> Replies:
            more: dict[str, Any] = {} if reason is None else {"reason": str(reason)}
            return [
                (
                    speaker,
                    kind(
                        in_reply_to=request.msg_id,
                        responder=self.named(speaker),
                        accepted=reason is None,
                        **more,
                    ),
                )
                for speaker in speakers
            ]

        return replies

    def named(self, kind: Kind) -> str:
        """Name the one of a kind whom we play."""
        names = {
            Kind.IMBALANCE: self.imbalance,
            Kind.PRICING: self.pricing,
            Kind.RECOMMENDER: self.recommender,
        }
        return names.get(kind, STRANGER)

    def _no_imbalance(self, request: ElectricityImbalanceRequest, _address: tuple[str, ...]) -> Replies:
        reply = ElectricityImbalance(
            in_reply_to=request.msg_id, responder=self.imbalance, reason=str(Refusal.NO_DATA)
        )
        return [(Kind.IMBALANCE, reply)]

    # Time.

    def stay(self, hours: float = 2, ahead_hours: int = 2) -> tuple[Time, Time]:
        """Give a stay that no other check has: from a full hour on, with an hour between two."""
        first = (self.now() // HOUR + 1 + ahead_hours) * HOUR
        arrival = first + self._stays * 3 * HOUR
        self._stays += 1
        return Time(arrival), Time(arrival + int(hours * HOUR))

    def day(self, ahead: int = 0) -> Day:
        """Give the local day so many days ahead."""
        return self.calendar.day_after(self.calendar.day_at(self.now()), ahead)

    def prices(self, day: Day, shift: float = 0.0) -> tuple[PriceSeries, PriceSeries]:
        """Make up buy and sell prices of a day: no two hours cost the same."""
        hours = np.array(self.calendar.local_hours(day))
        buy = 0.2 + (hours * 7 % 24) / 100 + shift
        step = self.calendar.step_minutes
        return PriceSeries.of(day.start, step, buy), PriceSeries.of(day.start, step, buy / 2)

    def broadcast_prices(
        self, day: Day, revision: int, *, shift: float = 0.0, area: str | None = None
    ) -> None:
        """CP7: say the prices of a day."""
        buy, sell = self.prices(day, shift)
        self.say(
            Kind.PRICING,
            PricesBroadcast(
                msg_id=self.word(),
                grid_area=area or self.grid_area,
                day=day.date,
                revision=revision,
                buy=buy,
                sell=sell,
            ),
        )

    def appear(self) -> None:
        """Say that those whom we play are there, as they would."""
        for id in (self.imbalance, self.pricing, self.recommender):
            self.publish(presence_topic(id), b"online", retain=True)

    async def come_back(self, id: str) -> None:
        """Let one whom we play go and come again, as if without memory."""
        self.publish(presence_topic(id), b"offline", retain=True)
        await asyncio.sleep(0.1)
        self.publish(presence_topic(id), b"online", retain=True)

    async def until_answered(self, request: Request, send: Callable[[], None]) -> None:
        """Send a registration again and again, as whoever registers does: the agent may begin later than we.

        Raises:
            Missing: it never answered.
        """
        until = time.monotonic() + self.manners.wait_seconds
        about = request.msg_id
        while time.monotonic() < until:
            send()
            if await self.hear_some(
                type(request).reply, 1, lambda it: it.in_reply_to == about, seconds=CALL_SECONDS
            ):
                return
        raise Missing(f"no answer to {type(request).__name__} within {self.manners.wait_seconds:g} s")

    # Silence.

    async def sent_again(
        self, kind: type[Request], first: Heard, *, times: int = 2, growing: bool = False
    ) -> list[Heard]:
        """Wait until a request of the agent has been sent so many times in all, the same each time.

        Raises:
            Missing: it was not sent again.
            Wrong: it was sent again too soon, or with another content.
        """
        wait = self.manners.reply_seconds
        limit = self.manners.patience_seconds + wait * (times - 1) * (2.5 if growing else 1.3)
        about = first.message.msg_id
        sends = await self.hear_some(kind, times, lambda it: it.msg_id == about, seconds=limit)
        if len(sends) < times:
            raise Missing(f"{kind.__name__} was sent {len(sends)} times within {limit:g} s, must be {times}")
        for before, after in itertools.pairwise(sends):
            if after.at - before.at < wait / 3:
                raise Wrong(
                    f"{kind.__name__} was sent again after {after.at - before.at:.1f} s, must be {wait:g}"
                )
            if after.document != before.document:
                raise Wrong(f"{kind.__name__} was sent again with another content: {shown(after)}")
        return sends


def a_battery(energy_kwh: float, power_kw: float) -> Battery:
    """Make a battery that has room for an energy."""
    return Battery(
        capacity_kwh=max(40.0, 4 * energy_kwh),
        soc=0.25,
        min_soc=0.0,
        max_soc=1.0,
        max_charge_kw=power_kw,
        max_discharge_kw=0.0,
    )


def a_wish(
    stay: tuple[Time, Time],
    energy_kwh: float,
    connector_type: str,
    power_kw: float,
    network: str | None = None,
) -> Preferences:
    """Say what a driver wants."""
    more: dict[str, Any] = {} if network is None else {"network": network}
    return Preferences(
        arrival=stay[0],
        departure=stay[1],
        energy_kwh=energy_kwh,
        connector_type=connector_type,
        power_kw=power_kw,
        v2g_allowed=False,
        min_soc=0.0,
        **more,
    )
