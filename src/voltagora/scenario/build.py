"""Makes the agents of a grid area from its plan and the scenario's strategies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from voltagora.agents.agent import Agent
from voltagora.agents.consumer import ConsumerAgent
from voltagora.agents.imbalance import BroadcastRule, ImbalanceAgent
from voltagora.agents.market import Market
from voltagora.agents.pricing import PricingAgent
from voltagora.agents.producer import ProducerAgent
from voltagora.agents.recommender import RecommenderAgent
from voltagora.agents.station import StationAgent
from voltagora.agents.station_desk import StationPeers, StationRules
from voltagora.agents.vehicle import VehicleAgent, VehicleRules
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import PriceSeries
from voltagora.domain.units import Floats
from voltagora.scenario.population import AreaPlan
from voltagora.scenario.settings import STRATEGY_SECTIONS, Scenario
from voltagora.strategies import registry


class Strategies(msgspec.Struct, frozen=True, kw_only=True):
    """One built strategy for each kind of decision."""

    pricing: Any
    scheduling: Any
    recommendation: Any
    choice: Any
    negotiation: Any
    forecast: Any


class AreaAgents(msgspec.Struct, kw_only=True):
    """The agents of a grid area, in the order in which they start, and the market that they share."""

    market: Market
    imbalance: ImbalanceAgent
    pricing: PricingAgent
    recommenders: list[RecommenderAgent]
    stations: list[StationAgent]
    profiles: list[ProducerAgent | ConsumerAgent]
    vehicles: list[VehicleAgent]

    def all(self) -> list[Agent]:
        """List every agent."""
        return [
            self.imbalance,
            self.pricing,
            *self.recommenders,
            *self.stations,
            *self.profiles,
            *self.vehicles,
        ]


def build_strategies(scenario: Scenario) -> Strategies:
    """Build the scenario's strategies from their names and parameters."""
    built = {}
    for kind in STRATEGY_SECTIONS:
        section = getattr(scenario, kind)
        built[kind] = registry.build(kind, section.strategy, _parameters(scenario, kind))
    return Strategies(**built)


def _parameters(scenario: Scenario, kind: str) -> dict[str, Any]:
    section = getattr(scenario, kind)
    parameters = dict(section.parameters)
    if kind == "scheduling":
        known = registry.find(kind, section.strategy).__struct_fields__
        if "wear_eur_per_kwh" in known:
            parameters.setdefault("wear_eur_per_kwh", scenario.scheduling.wear_eur_per_kwh)
    return parameters


def build_area(
    scenario: Scenario,
    plan: AreaPlan,
    market_prices: PriceSeries | None = None,
    *,
    hardware: bool = True,
) -> AreaAgents:
    """Make the agents of one grid area.

    Args:
        scenario: whose strategies they use.
        plan: who they are.
        market_prices: day-ahead prices, if pricing is `market`.
        hardware: whether stations hear at all who plugs in; if not, all come as booked.
    """
    calendar = Calendar(scenario.time_zone, scenario.step_minutes)
    strategies = build_strategies(scenario)
    area = plan.area
    market = Market(area.id, calendar)
    rule = BroadcastRule(threshold_kwh=scenario.broadcast.threshold_kwh, always=scenario.broadcast.always)
    return AreaAgents(
        market=market,
        imbalance=ImbalanceAgent(
            area.imbalance, area.id, calendar, horizon_days=scenario.horizon_days, broadcast=rule
        ),
        pricing=PricingAgent(
            area.pricing,
            area.id,
            calendar,
            horizon_days=scenario.horizon_days,
            broadcast=rule,
            strategy=strategies.pricing,
            imbalance_agent=area.imbalance,
            market_prices=None if market_prices is None else _day_prices(market_prices),
        ),
        recommenders=[
            RecommenderAgent(
                name,
                network,
                market,
                strategy=strategies.recommendation,
                at_most=scenario.recommendation.at_most,
            )
            for name, network in area.recommenders
        ],
        stations=_stations(scenario, plan, market, strategies, hardware=hardware and deviates(plan)),
        profiles=_profiles(scenario, plan, calendar, strategies),
        vehicles=_vehicles(scenario, plan, strategies),
    )


def _stations(
    scenario: Scenario, plan: AreaPlan, market: Market, strategies: Strategies, *, hardware: bool
) -> list[StationAgent]:
    area = plan.area
    recommender_of = {network: name for name, network in area.recommenders}
    rules = StationRules(
        negotiation_rounds=scenario.negotiation.rounds,
        offers_flexibility=scenario.negotiation.stations_start,
        hears_hardware=hardware,
        no_show_minutes=scenario.drivers.no_show_minutes,
        reports_confidence=scenario.stations.report_confidence,
    )
    return [
        StationAgent(
            station,
            market,
            peers=StationPeers(
                grid_area=area.id,
                imbalance=area.imbalance,
                pricing=area.pricing,
                recommender=recommender_of[station.network],
            ),
            scheduling=strategies.scheduling,
            negotiation=strategies.negotiation,
            rules=rules,
        )
        for station in plan.stations
    ]


def _profiles(
    scenario: Scenario, plan: AreaPlan, calendar: Calendar, strategies: Strategies
) -> list[ProducerAgent | ConsumerAgent]:
    area = plan.area
    agents: list[ProducerAgent | ConsumerAgent] = []
    for profile in plan.profiles:
        kind: type[ProducerAgent | ConsumerAgent] = ProducerAgent if profile.role == "EP" else ConsumerAgent
        agents.append(
            kind(
                profile,
                grid_area=area.id,
                calendar=calendar,
                horizon_days=scenario.horizon_days,
                forecast=strategies.forecast,
                imbalance=area.imbalance,
                pricing=area.pricing,
            )
        )
    return agents


def _vehicles(scenario: Scenario, plan: AreaPlan, strategies: Strategies) -> list[VehicleAgent]:
    area = plan.area
    recommenders = {network: name for name, network in area.recommenders}
    rules = VehicleRules(negotiation_rounds=scenario.negotiation.rounds, reports_hardware=deviates(plan))
    return [
        VehicleAgent(
            vehicle,
            grid_area=area.id,
            recommenders=recommenders,
            choice=strategies.choice,
            negotiation=strategies.negotiation,
            rules=rules,
        )
        for vehicle in plan.vehicles
    ]


def deviates(plan: AreaPlan) -> bool:
    """Tell whether any driver comes late, leaves early or stays away, so that stations must be told."""
    return any(
        need.absent or need.plugs_in_at is not None or need.unplugs_at is not None
        for vehicle in plan.vehicles
        for need in vehicle.needs
    )


def _day_prices(series: PriceSeries) -> Callable[[Day], Floats]:
    def prices(day: Day) -> Floats:
        found = series.between(day.start, day.end)
        return np.full(day.slots, np.nan) if found is None else found

    return prices
