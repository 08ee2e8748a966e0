"""Records of runs that never happened, for the tests of this room."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from voltagora.domain.records import (
    DayRecord,
    LedgerRecord,
    MessageCountRecord,
    MessageRecord,
    NeedRecord,
    Record,
    RefusalRecord,
    SessionRecord,
    SessionState,
    StationRecord,
    VehicleRecord,
)
from voltagora.results.collector import Collector, Span

START = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())


class World:
    """A seeded heap of records that is consistent enough to be summed up."""

    def __init__(
        self,
        seed: int = 1,
        *,
        vehicles: int = 6,
        days: int = 2,
        areas: int = 1,
        step_minutes: int = 60,
        stays: int = 3,
        stations: int = 2,
    ) -> None:
        self.random = random.Random(seed)
        self.step = step_minutes * 60
        self.slots_a_day = 86_400 // self.step
        self.days = days
        self.stays = stays
        self.stations = stations
        self.span = Span(start=START, end=START + days * 86_400)
        self.records: list[Record] = []
        for place in range(areas):
            self.area(f"area-{place}", vehicles)

    def area(self, area: str, vehicles: int) -> None:
        for n in range(self.stations):
            self.records.append(
                StationRecord(
                    station=f"{area}-CS{n}", area=area, network="net", connectors=4 + n, grid_limit_kw=80.0
                )
            )
        charging = np.zeros(self.days * self.slots_a_day)
        discharging = np.zeros(self.days * self.slots_a_day)
        for n in range(vehicles):
            self.vehicle(area, f"{area}-EV{n}", charging, discharging)
        for day in range(self.days):
            self.day(area, day, charging, discharging)
        for account in ("MD", f"CS/{area}-CS0", "EP/wind"):
            self.records.append(LedgerRecord(area=area, account=account, balance_eur=self.amount(-50, 50, 5)))
        for protocol in ("CP1", "CP2", "CP10", "timer"):
            count = self.random.randint(0, 900)
            self.records.append(MessageCountRecord(area=area, protocol=protocol, count=count))

    def vehicle(self, area: str, name: str, charging: Any, discharging: Any) -> None:
        capacity = self.random.choice([40.0, 60.0, 82.5])
        self.records.append(
            VehicleRecord(vehicle=name, area=area, vehicle_type="hatchback", capacity_kwh=capacity)
        )
        for need in range(self.random.randint(0, self.stays)):
            made = self.random.random() < 0.8
            arrival = START + self.random.randrange(self.days * 86_400 - 3600)
            departure = arrival + self.random.randint(1800, 12 * 3600)
            energy = self.amount(1, 30, 6)
            reservation = f"{area}-SR-{name}-{need}" if made else None
            self.records.append(
                NeedRecord(
                    area=area,
                    vehicle=name,
                    need=need,
                    asked_at=arrival - 3600,
                    arrival=arrival,
                    departure=departure,
                    energy_kwh=energy,
                    rounds=1,
                    reservation=reservation,
                    outcome="booked" if made else "no_free_connector",
                )
            )
            if reservation is None or self.random.random() < 0.2:
                self.refusal(area, name, need, arrival - 3600)
            if reservation is not None:
                session = self.session(area, name, reservation, arrival, departure, energy, capacity)
                self.records.append(session)
                self.add_up(session, charging, discharging)

    def session(
        self,
        area: str,
        vehicle: str,
        reservation: str,
        arrival: int,
        departure: int,
        energy: float,
        capacity: float,
    ) -> SessionRecord:
        first = arrival // self.step * self.step
        slots = -((first - departure) // self.step)
        state = self.random.choices(list(SessionState), weights=[1, 1, 8, 1, 1])[0]
        idle = state in (SessionState.CANCELLED, SessionState.NO_SHOW)
        schedule = [0.0 if idle else self.random.choice([0.0, self.amount(-5, 10, 6)]) for _ in range(slots)]
        buy = [self.amount(-0.05, 0.5, 5) for _ in range(slots)]
        sell = [self.amount(0, 0.4, 5) for _ in range(slots)]
        paid = sum(max(k, 0) * b - max(-k, 0) * s for k, b, s in zip(schedule, buy, sell, strict=True))
        compensation = self.random.choice([0.0, 0.0, 0.25])
        return SessionRecord(
            reservation=reservation,
            area=area,
            network="net",
            vehicle=vehicle,
            station=f"{area}-CS{self.random.randrange(self.stations)}",
            connector=f"c{self.random.randrange(4)}",
            arrival=arrival,
            departure=departure,
            energy_kwh=energy,
            capacity_kwh=capacity,
            soc_at_arrival=self.amount(0.1, 0.6, 6),
            charge_efficiency=self.random.choice([1.0, 0.93]),
            discharge_efficiency=self.random.choice([1.0, 0.9]),
            power_kw=11.0,
            v2g=True,
            state=state,
            revision=1,
            first_slot=first,
            step_minutes=self.step // 60,
            schedule_kwh=np.array(schedule),
            buy_eur_per_kwh=np.array(buy),
            sell_eur_per_kwh=np.array(sell),
            compensation_eur=compensation,
            cost_eur=round(paid - compensation, 5),
        )

    def add_up(self, session: SessionRecord, charging: Any, discharging: Any) -> None:
        for place, energy in enumerate(session.schedule_kwh):
            slot = (session.first_slot - START) // self.step + place
            if slot < len(charging):
                charging[slot] += max(energy, 0.0)
                discharging[slot] += max(-energy, 0.0)

    def refusal(self, area: str, vehicle: str, need: int, at: int) -> None:
        reason = self.random.choice(["no_free_connector", "slot_taken", "infeasible"])
        protocol = "CP1" if reason == "no_free_connector" else "CP2"
        self.records.append(
            RefusalRecord(
                at=at,
                area=area,
                vehicle=vehicle,
                need=need,
                protocol=protocol,
                responder=f"{area}-SR",
                reason=reason,
                field=None,
                possible_kwh=2.5 if reason == "infeasible" else None,
            )
        )
        self.records.append(
            MessageRecord(
                at=at,
                wave=1,
                area=area,
                protocol=protocol,
                topic=f"EV/{vehicle}/ReservationOutcome",
                sender=f"{area}-SR",
                payload=b'{"accepted":false}',
            )
        )

    def day(self, area: str, day: int, charging: Any, discharging: Any) -> None:
        n = self.slots_a_day
        part = slice(day * n, (day + 1) * n)
        hours = np.arange(n) * 24 / n
        noise = np.array([self.random.random() for _ in range(n)])
        self.records.append(
            DayRecord(
                area=area,
                day=(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=day)).date(),
                start=START + day * 86_400,
                step_minutes=self.step // 60,
                production_kwh=np.round(
                    60 + 50 * np.sin((hours - 6) / 24 * 2 * np.pi).clip(0) + 25 * noise, 6
                ),
                consumption_kwh=np.round(70 + 25 * np.sin((hours - 13) / 24 * 2 * np.pi) + 5 * noise, 6),
                charging_kwh=np.round(charging[part], 6),
                discharging_kwh=np.round(discharging[part], 6),
                buy_eur_per_kwh=np.array([self.amount(0.1, 0.4, 5) for _ in range(n)]),
                sell_eur_per_kwh=np.array([self.amount(0.1, 0.3, 5) for _ in range(n)]),
            )
        )

    def amount(self, low: float, high: float, decimals: int) -> float:
        return round(self.random.uniform(low, high), decimals)


def gather(records: Iterable[Record], span: Span, **options: Any) -> Collector:
    collector = Collector(span, **options)
    for record in records:
        collector(record)
    return collector


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World


@pytest.fixture(scope="session")
def gathered() -> Callable[..., Collector]:
    return gather
