"""`try scheduling`: {preferences, battery, connector, buy, sell, ...} -> {accepted, ...}.

For `station`: {sessions: [the above without prices], buy, sell, grid_limit_kw} -> {sessions}.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from voltagora.cli.trials.slots import MAX_INPUT_BYTES, Energies, Numbers, Prices, as_series, hour_of, like
from voltagora.domain.errors import InputError, Verbatim
from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries, Series, hours_in_slots
from voltagora.domain.units import Floats, Kw, RatedKw, Time, replaced
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.protocols.codec import decode
from voltagora.protocols.message import Refusal
from voltagora.strategies.scheduling.decision import (
    Infeasible,
    Planned,
    SchedulingStrategy,
    Session,
    possible_departure,
)
from voltagora.strategies.scheduling.station import Station

SOC_TOLERANCE = 0.001
"""How far desired_soc may be from what the energy makes of the battery (domain.md section 3)."""

Answer: TypeAlias = dict[str, Any]
S = TypeVar("S", bound=SchedulingStrategy)


class Plug(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of a connector."""

    power_kw: RatedKw
    v2g_capable: bool


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """One session without its prices; `headroom_kw` caps the power of each slot of the stay, both ways."""

    preferences: Preferences
    battery: Battery
    connector: Plug
    wear_eur_per_kwh: Annotated[float, Meta(ge=0, le=1e9)] | UnsetType = UNSET
    headroom_kw: Kw | Energies | UnsetType = UNSET


class Question(Stay, frozen=True, kw_only=True):
    """One session to schedule; plain lists start with the hour that holds the arrival."""

    buy: Prices
    sell: Prices


class StationQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions that share a grid connection; plain lists start with the hour of the first arrival."""

    sessions: Annotated[tuple[Stay, ...], Meta(min_length=1)]
    buy: Prices
    sell: Prices
    grid_limit_kw: RatedKw


def decide(strategy: SchedulingStrategy, payload: bytes) -> Answer:
    """Schedule the session, or for `station` the sessions, of a JSON document."""
    if isinstance(strategy, Station):
        return _decide_station(strategy, decode(payload, StationQuestion, MAX_INPUT_BYTES))
    question = decode(payload, Question, MAX_INPUT_BYTES)
    known = _Known.of(question.buy, question.sell, hour_of(question.preferences.arrival))
    session = _session(question, known, "")
    if isinstance(session, dict):
        return session
    planned = _with_wear(strategy, question.wear_eur_per_kwh).plan(session)
    answer = _answer(planned, session, question.buy)
    if isinstance(planned, Infeasible):
        later = _possible_departure(question, session, known)
        if later is not None:
            answer["possible_departure"] = str(Time(later))
    return answer


def _decide_station(strategy: Station, question: StationQuestion) -> Answer:
    """Schedule what can be scheduled; a session that lacks prices or contradicts itself is refused first."""
    first = min(stay.preferences.arrival for stay in question.sessions)
    known = _Known.of(question.buy, question.sell, hour_of(first))
    wears = {stay.wear_eur_per_kwh for stay in question.sessions}
    if len(wears) > 1:
        raise InputError(
            "sessions[1].wear_eur_per_kwh", "another value", "the same in all sessions of a station"
        )
    answers = [_session(stay, known, f"sessions[{place}]") for place, stay in enumerate(question.sessions)]
    sessions = [session for session in answers if isinstance(session, Session)]
    if sessions:
        planner = _with_wear(strategy, wears.pop())
        planned = iter(planner.plan_station(sessions, question.grid_limit_kw, known.step_seconds))
        answers = [
            _answer(next(planned), each, question.buy) if isinstance(each, Session) else each
            for each in answers
        ]
    return {"sessions": answers}


class _Known(NamedTuple):
    """The prices in force, on one grid of slots."""

    buy: PriceSeries
    sell: PriceSeries

    @classmethod
    def of(cls, buy: Prices, sell: Prices, start: int) -> _Known:
        known = cls(as_series(buy, PriceSeries, "buy", start), as_series(sell, PriceSeries, "sell", start))
        if known.sell.step_minutes != known.buy.step_minutes:
            raise InputError(
                "sell.step_minutes", known.sell.step_minutes, f"that of buy, {known.buy.step_minutes}"
            )
        if (known.sell.start - known.buy.start) % known.step_seconds:
            raise InputError("sell.start", known.sell.start, "on the slots of buy")
        return known

    @property
    def step_seconds(self) -> int:
        return self.buy.step_seconds

    @property
    def end(self) -> int:
        """The first instant without a price."""
        return min(self.buy.end, self.sell.end)

    def slot_of(self, moment: int) -> int:
        return moment - (moment - self.buy.start) % self.step_seconds


def _session(stay: Stay, known: _Known, field: str) -> Session | Answer:
    """Put a session together, or say why it is refused."""
    wanted, battery = stay.preferences, stay.battery
    reached = battery.soc + wanted.energy_kwh / battery.capacity_kwh
    if wanted.desired_soc is not UNSET and abs(wanted.desired_soc - reached) > SOC_TOLERANCE + 1e-12:
        at = f"{field}.preferences.desired_soc" if field else "preferences.desired_soc"
        return {"accepted": False, "reason": str(Refusal.INVALID_REQUEST), "field": at}
    buy = known.buy.between(wanted.arrival, wanted.departure)
    sell = known.sell.between(wanted.arrival, wanted.departure)
    if buy is None or sell is None:
        return {"accepted": False, "reason": str(Refusal.NO_PRICES)}
    first = known.slot_of(wanted.arrival)
    hours = hours_in_slots(wanted.arrival, wanted.departure, first, known.step_seconds)
    headroom = _headroom_kw(stay, first, len(hours), field)
    room_kwh = None if headroom is None else hours * headroom[: len(hours)]
    return Session.of(
        wanted,
        battery,
        connector_power_kw=stay.connector.power_kw,
        connector_v2g=stay.connector.v2g_capable,
        first_slot=first,
        step_seconds=known.step_seconds,
        buy=np.ascontiguousarray(buy),
        sell=np.ascontiguousarray(sell),
        headroom_charge_kwh=room_kwh,
        headroom_discharge_kwh=room_kwh,
    )


def _headroom_kw(stay: Stay, first_slot: int, slots: int, field: str) -> Floats | None:
    """Give the headroom of every slot from the first of the stay on as far as known, kW."""
    given = stay.headroom_kw
    if given is UNSET:
        return None
    if isinstance(given, float):
        return np.full(slots, given)
    at = f"{field}.headroom_kw" if field else "headroom_kw"
    listed = as_series(given, EnergySeries, at, first_slot)
    place = (first_slot - listed.start) // listed.step_seconds
    values = listed.values[max(0, place) :]
    if place < 0 or len(values) < slots:
        raise InputError(
            at,
            Verbatim(f"{len(values)} values"),
            f"a number, or one for each of the {slots} slots of the stay",
        )
    return values


def _possible_departure(stay: Stay, session: Session, known: _Known) -> int | None:
    """Find the earliest departure that would do, as far as prices and headroom are known."""
    slots = -((session.first_slot - known.end) // session.step_seconds)
    headroom = _headroom_kw(stay, session.first_slot, 1, "")
    if headroom is None:
        return possible_departure(session, known.end)
    if isinstance(stay.headroom_kw, float):
        headroom = np.full(slots, stay.headroom_kw)
    latest = min(known.end, session.first_slot + len(headroom) * session.step_seconds)
    return possible_departure(session, latest, headroom)


def _answer(planned: Planned | Infeasible, session: Session, given: Series | Numbers) -> Answer:
    if isinstance(planned, Infeasible):
        return {
            "accepted": False,
            "reason": str(Refusal.INFEASIBLE),
            "possible_kwh": planned.possible_kwh,
        }
    start, step = session.first_slot, session.step_seconds // 60
    schedule = ScheduleSeries.of(start, step, planned.schedule_kwh)
    return {
        "accepted": True,
        "schedule": like(schedule if isinstance(given, Series) else (), ScheduleSeries, schedule.values),
        "cost_eur": planned.cost_eur,
        "objective_eur": planned.objective_eur,
    }


def _with_wear(strategy: S, wear: float | UnsetType) -> S:
    """Let the question's wear count, where the strategy knows of wear at all."""
    if wear is UNSET or "wear_eur_per_kwh" not in strategy.__struct_fields__:
        return strategy
    changed: S = replaced(strategy, wear_eur_per_kwh=wear)
    return changed
