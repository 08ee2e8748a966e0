"""`try recommendation`: {vehicle, request, stations, reservations, buy?, load_kwh?} -> {recommendations}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from voltagora.cli.trials.slots import MAX_INPUT_BYTES, Prices, as_series, hour_of
from voltagora.domain.errors import NOTHING, InputError, one_of
from voltagora.domain.interval import Interval
from voltagora.domain.location import Location, distance_km
from voltagora.domain.series import PriceSeries, hours_in_slots
from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.units import Floats, Id, Kwh, RatedKw, Time, round_half_even, round_money
from voltagora.domain.vehicle import Preferences, check_stay
from voltagora.protocols.codec import decode, to_builtins
from voltagora.protocols.message import Refusal
from voltagora.strategies.recommendation.decision import RankingRequest, RecommendationStrategy

MOST_RECOMMENDATIONS: Final = 3
VALID_SECONDS: Final = 600
RECOMMENDER: Final = "try"
TOKEN: Final = "made-by-try-and-valid-nowhere"  # noqa: S105


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The content of CP1."""

    preferences: Preferences
    location: Location


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """The content of CP4, and whose it is."""

    station: Id
    network: Id
    grid_area: Id
    location: Location
    connectors: Annotated[tuple[Connector, ...], Meta(min_length=1)]
    grid_limit_kw: RatedKw


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """A connector that is taken for a while."""

    station: Id
    connector: Id
    arrival: Time
    departure: Time

    def __post_init__(self) -> None:
        check_stay(self.arrival, self.departure)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle's request, and what a recommender knows; a plain list starts at the arrival's hour."""

    vehicle: Id
    request: Request
    stations: tuple[Candidate, ...]
    reservations: tuple[Booked, ...] = ()
    buy: Prices | UnsetType = UNSET
    load_kwh: dict[str, Kwh] | UnsetType = UNSET  # by station; else what the reservations could draw
    issued_at: Time | UnsetType = UNSET  # else ten minutes before arrival


class _Fit(NamedTuple):
    station: Candidate
    connector: Connector
    distance_km: float


def decide(strategy: RecommendationStrategy, payload: bytes) -> dict[str, Any]:
    """Recommend connectors for the request of a JSON document, or say why there is none."""
    question = decode(payload, Question, MAX_INPUT_BYTES)
    _check_names(question)
    able = _able_stations(question)
    fits = [fit for station in able if (fit := _free_fit(question, station)) is not None]
    if not fits:
        reason = Refusal.NO_FREE_CONNECTOR if able else Refusal.NO_STATION
        return {"recommendations": [], "reason": str(reason)}
    price = _expected_price(question)
    request = RankingRequest(
        station_ids=tuple(fit.station.station for fit in fits),
        distance_km=np.array([fit.distance_km for fit in fits]),
        expected_price=np.full(len(fits), np.nan if price is None else price),
        load=np.array([_load_kwh(question, fit.station) for fit in fits]),
    )
    best = [fits[place] for place in strategy.rank(request)[:MOST_RECOMMENDATIONS]]
    return {
        "recommendations": [
            to_builtins(_recommendation(question, fit, number, price))
            for number, fit in enumerate(best, start=1)
        ]
    }


def _check_names(question: Question) -> None:
    """Refuse two stations of one name, and reservations of what is not there."""
    connectors: dict[str, list[str]] = {}
    for place, station in enumerate(question.stations):
        if station.station in connectors:
            raise InputError(f"stations[{place}].station", station.station, "an id that no other station has")
        connectors[station.station] = [connector.id for connector in station.connectors]
    for place, booked in enumerate(question.reservations):
        if booked.station not in connectors:
            raise InputError(
                f"reservations[{place}].station", booked.station, one_of(booked.station, connectors)
            )
        known = connectors[booked.station]
        if booked.connector not in known:
            raise InputError(
                f"reservations[{place}].connector", booked.connector, one_of(booked.connector, known)
            )


def _able_stations(question: Question) -> list[Candidate]:
    """List the stations that serve the vehicle's network and have a connector for it, free or not, by id."""
    wanted = question.request.preferences
    return sorted(
        (
            station
            for station in question.stations
            if wanted.network in (UNSET, station.network)
            and any(_suits(connector, wanted) for connector in station.connectors)
        ),
        key=lambda station: station.station,
    )


def _suits(connector: Connector, wanted: Preferences) -> bool:
    return connector.connector_type == wanted.connector_type and connector.power_kw >= wanted.power_kw


def _free_fit(question: Question, station: Candidate) -> _Fit | None:
    """Find the first listed connector that suits and is free for the whole stay."""
    wanted = question.request.preferences
    taken = {booked.connector for booked in _overlapping(question, station)}
    for connector in station.connectors:
        if _suits(connector, wanted) and connector.id not in taken:
            distance = round_half_even(distance_km(question.request.location, station.location), 3)
            return _Fit(station, connector, distance)
    return None


def _overlapping(question: Question, station: Candidate) -> list[Booked]:
    wanted = question.request.preferences
    stay = Interval(wanted.arrival, wanted.departure)
    return [
        booked
        for booked in question.reservations
        if booked.station == station.station and stay.overlaps(Interval(booked.arrival, booked.departure))
    ]


def _load_kwh(question: Question, station: Candidate) -> float:
    """Say how much the station's reservations could draw during the stay, unless the question says it."""
    if question.load_kwh is not UNSET:
        if station.station not in question.load_kwh:
            raise InputError(f"load_kwh.{station.station}", NOTHING, "present")
        return question.load_kwh[station.station]
    wanted = question.request.preferences
    power = {connector.id: connector.power_kw for connector in station.connectors}
    return sum(
        power[booked.connector]
        * (min(booked.departure, wanted.departure) - max(booked.arrival, wanted.arrival))
        / 3600.0
        for booked in _overlapping(question, station)
    )


def _expected_price(question: Question) -> float | None:
    """Average the known prices of the stay: Σ w_t·buy_t / Σ w_t, EUR/kWh (domain.md section 2)."""
    if question.buy is UNSET:
        return None
    wanted = question.request.preferences
    buy = as_series(question.buy, PriceSeries, "buy", hour_of(wanted.arrival))
    hours, prices = _known(wanted.arrival, wanted.departure, buy)
    return round_money(float(np.dot(hours, prices) / hours.sum())) if len(hours) else None


def _known(arrival: int, departure: int, buy: PriceSeries) -> tuple[Floats, Floats]:
    """Give the hours and prices of those slots of a stay that have a price."""
    step = buy.step_seconds
    first = (arrival - buy.start) // step
    hours = hours_in_slots(arrival, departure, buy.start + first * step, step)
    places: Sequence[int] = [place for place in range(len(hours)) if 0 <= first + place < len(buy)]
    return hours[places], buy.values[[first + place for place in places]]


def _recommendation(question: Question, fit: _Fit, number: int, price: float | None) -> Recommendation:
    wanted = question.request.preferences
    issued = max(0, wanted.arrival - VALID_SECONDS) if question.issued_at is UNSET else question.issued_at
    return Recommendation(
        id=f"{RECOMMENDER}-{number}",
        token=TOKEN,
        recommender=RECOMMENDER,
        network=fit.station.network,
        vehicle=question.vehicle,
        station=fit.station.station,
        connector=fit.connector.id,
        arrival=wanted.arrival,
        departure=wanted.departure,
        connector_type=fit.connector.connector_type,
        power_kw=fit.connector.power_kw,
        energy_kwh=wanted.energy_kwh,
        v2g_capable=fit.connector.v2g_capable,
        location=fit.station.location,
        distance_km=fit.distance_km,
        expected_price_eur_kwh=UNSET if price is None else price,
        issued_at=Time(issued),
        expires_at=Time(min(issued + VALID_SECONDS, wanted.arrival)),
    )
