"""A scenario file as types: every section and key, with its unit, default and meaning.

`docs/scenarios.md` and `schema.json` are made from this file, so what is written here is what
a user reads. A section of strategies holds the strategy's name and, beside it, the strategy's
own parameters, which `voltagora.strategies.registry` checks.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from voltagora.domain.units import Efficiency, EurPerKwh, Id, Latitude, Longitude, Share
from voltagora.scenario.listed import ListedStation, ListedVehicle

Parameters: TypeAlias = dict[str, Any]
PositiveKw = Annotated[float, Meta(gt=0, le=1e12, description="kW")]
Weight = Annotated[float, Meta(ge=0, le=1e9, description="a part, in proportion to the others'")]
MinutesLong = Annotated[float, Meta(ge=0, le=1440, description="minutes")]
Source: TypeAlias = Literal["wind", "solar", "lignite", "gas", "import"]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the scenario file."""


class StrategySection(Section, frozen=True, kw_only=True):
    """A table that names a strategy and holds the strategy's parameters beside the name."""

    strategy: str
    parameters: Parameters = {}


class GridSettings(Section, frozen=True, kw_only=True):
    """`[grid]`: what is produced and used apart from the vehicles."""

    file: Annotated[
        str | None,
        Meta(description="Grid profile CSV, relative to the scenario file; absent: a synthetic profile."),
    ] = None
    first_day: Annotated[
        date | None,
        Meta(
            description="Date of the file's first row; absent: the first of its month, if the weekday agrees."
        ),
    ] = None
    profile_start: Annotated[
        date | None,
        Meta(description="Day of the profile that plays the run's first day; absent: that day itself."),
    ] = None
    history_days: Annotated[
        int, Meta(ge=0, le=3660, description="Days before `profile_start` that forecasts can look back on.")
    ] = 0
    producers: Annotated[
        tuple[Source, ...], Meta(description="Columns of the profile that are producers in every grid area.")
    ] = ("wind", "solar")
    load_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of the profile's total load that is used here.")
    ] = 0.1
    kw_per_mw: Annotated[
        float,
        Meta(
            gt=0,
            le=1000,
            description="kW that stand for one MW of the profile: 1 scales a country to a village.",
        ),
    ] = 1.0


class NetworkSettings(Section, frozen=True, kw_only=True):
    """`[[areas.networks]]`: one station network, hence one recommender."""

    id: Annotated[Id, Meta(description="Its name, unique over all areas.")]
    station_share: Annotated[
        Weight, Meta(description="Part of the area's stations, in proportion to the other networks'.")
    ] = 1.0


class AreaSettings(Section, frozen=True, kw_only=True):
    """`[[areas]]`: one grid area, hence one imbalance and one mechanism design agent."""

    id: Annotated[Id, Meta(description="Its name, at most 40 characters.")]
    networks: Annotated[
        tuple[NetworkSettings, ...],
        Meta(description="Competing station networks; absent: one, named after the area."),
    ] = ()
    vehicle_share: Annotated[
        Weight, Meta(description="Part of all vehicles, in proportion to the other areas'.")
    ] = 1.0
    station_share: Annotated[
        Weight, Meta(description="Part of all stations, in proportion to the other areas'.")
    ] = 1.0
    generation_share: Annotated[
        Weight, Meta(description="Part of the generation, in proportion to the other areas'.")
    ] = 1.0
    load_share: Annotated[
        Weight, Meta(description="Part of the load, in proportion to the other areas'.")
    ] = 1.0
    latitude: Annotated[Latitude, Meta(description="Latitude of the area's centre, degrees, WGS84.")] = 0.0
    longitude: Annotated[Longitude, Meta(description="Longitude of the area's centre, degrees, WGS84.")] = 0.0
    radius_km: Annotated[
        float, Meta(gt=0, le=2000, description="Radius around the centre in which `disc` places things, km.")
    ] = 5.0


class VehicleSettings(Section, frozen=True, kw_only=True):
    """`[vehicles]`: the fleet."""

    count: Annotated[
        int,
        Meta(ge=0, le=100_000_000, description="Vehicles drawn; 0 if absent while vehicles are listed."),
    ] = 100
    behaviour: Annotated[
        Literal["drivers", "trips"],
        Meta(
            description="`drivers`: each vehicle copies a driver of `driver_file` or of ten synthetic "
            "ones, as in the published experiment. `trips`: each vehicle draws its own commutes, "
            "errands and long trips (`[trips]`)."
        ),
    ] = "drivers"
    driver_file: Annotated[
        str | None,
        Meta(description="Driver behaviour CSV, relative to the scenario file; absent: synthetic drivers."),
    ] = None
    driver_start: Annotated[
        date | None,
        Meta(description="Day of the driver file that plays the run's first day; absent: that day itself."),
    ] = None
    idle_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=168,
            description="A stay lasts up to so many hours longer than charging, uniform in [0, idle_hours].",
        ),
    ] = 4.0
    min_soc: Annotated[
        Share, Meta(description="State of charge below which no battery is discharged, 0 to 1.")
    ] = 0.1
    charge_efficiency: Annotated[
        Efficiency, Meta(description="Energy stored per energy charged, above 0, at most 1.")
    ] = 1.0
    discharge_efficiency: Annotated[
        Efficiency, Meta(description="Energy fed back per energy drawn, above 0, at most 1.")
    ] = 1.0
    efficiency_spread: Annotated[
        float,
        Meta(ge=0, le=0.5, description="Efficiencies of a vehicle lie up to so much lower, uniform."),
    ] = 0.0
    v2g_share: Annotated[Share, Meta(description="Share of vehicles that allow discharging, 0 to 1.")] = 1.0
    min_sell_share: Annotated[
        Share, Meta(description="Share of vehicles that ask for a least price to discharge, 0 to 1.")
    ] = 0.0
    min_sell_eur_kwh: Annotated[EurPerKwh, Meta(description="The least price they ask, EUR/kWh.")] = 0.0
    loyal_share: Annotated[
        Share, Meta(description="Share of vehicles that use one station network only, 0 to 1.")
    ] = 0.0
    list: Annotated[tuple[ListedVehicle, ...], Meta(description="Vehicles written out one by one.")] = ()


class StationSettings(Section, frozen=True, kw_only=True):
    """`[stations]`: where vehicles charge."""

    count: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Stations made; 0 if absent while stations are listed.")
    ] = 8
    connectors_per_kind: Annotated[
        int, Meta(ge=1, le=10_000, description="Connectors of each of the eight kinds at each station.")
    ] = 10
    grid_limit_share: Annotated[
        float,
        Meta(
            gt=0, le=1, description="Grid limit of a station as a share of the sum of its connectors' powers."
        ),
    ] = 1.0
    v2g_share: Annotated[
        Share, Meta(description="Share of connectors that can discharge a vehicle, 0 to 1.")
    ] = 1.0
    report_confidence: Annotated[
        bool, Meta(description="Stations report the confidence of their energy profile every day (CP11).")
    ] = False
    list: Annotated[tuple[ListedStation, ...], Meta(description="Stations written out one by one.")] = ()


class TripSettings(Section, frozen=True, kw_only=True):
    """`[trips]`: how vehicles of the behaviour `trips` are used."""

    commuter_share: Annotated[
        Share, Meta(description="Share of vehicles that drive to work from Monday to Friday, 0 to 1.")
    ] = 0.65
    work_charging_share: Annotated[
        Share, Meta(description="Share of commuters who charge at work rather than at home, 0 to 1.")
    ] = 0.4
    commute_km: Annotated[float, Meta(gt=0, le=300, description="Mean way to work and back, km.")] = 44.0
    errand_km: Annotated[float, Meta(gt=0, le=300, description="Mean of the other driving of a day, km.")] = (
        22.0
    )
    long_trip_share: Annotated[
        Share,
        Meta(description="Share of days with a long trip and a fast charge on the way, 0 to 1."),
    ] = 0.05
    consumption_kwh_per_100km: Annotated[
        float,
        Meta(
            gt=0, le=100, description="Mean consumption, kWh per 100 km; a vehicle's lies within 20 % of it."
        ),
    ] = 17.0
    plug_in_soc: Annotated[
        Share, Meta(description="Drivers look for a charge once the state of charge is below this, 0 to 1.")
    ] = 0.7


class DriverSettings(Section, frozen=True, kw_only=True):
    """`[drivers]`: how drivers depart from what they booked; by default they never do."""

    late_share: Annotated[Share, Meta(description="Share of stays whose driver plugs in late, 0 to 1.")] = 0.0
    late_minutes: Annotated[MinutesLong, Meta(description="Late by up to so many minutes, uniform.")] = 30.0
    early_share: Annotated[Share, Meta(description="Share of stays whose driver unplugs early, 0 to 1.")] = (
        0.0
    )
    early_minutes: Annotated[MinutesLong, Meta(description="Early by up to so many minutes, uniform.")] = 30.0
    absent_share: Annotated[Share, Meta(description="Share of stays whose driver never comes, 0 to 1.")] = 0.0
    cancel_share: Annotated[Share, Meta(description="Share of stays cancelled before arrival, 0 to 1.")] = 0.0
    change_share: Annotated[
        Share,
        Meta(description="Share of stays whose driver later negotiates another departure or energy, 0 to 1."),
    ] = 0.0
    change_minutes: Annotated[
        MinutesLong, Meta(description="The other departure lies up to so many minutes away, uniform.")
    ] = 60.0
    change_energy_share: Annotated[
        Share, Meta(description="The other energy differs by up to this share of the first, uniform.")
    ] = 0.3
    no_show_minutes: Annotated[
        float,
        Meta(
            ge=1,
            le=1440,
            description="A station releases a booking so long after arrival if nobody plugged in, minutes.",
        ),
    ] = 60.0


class PricingSettings(StrategySection, frozen=True, kw_only=True):
    """`[pricing]`: how mechanism design sets the buy and sell price of each slot."""

    strategy: Annotated[
        str, Meta(description="Name of a pricing strategy; its parameters stand beside it.")
    ] = "nrgcoin"
    market_file: Annotated[
        str | None,
        Meta(
            description="Day-ahead prices for `market`: CSV with the columns start (UTC) and "
            "price_eur_per_mwh; absent: prices that follow the profile's residual load."
        ),
    ] = None


class SchedulingSettings(StrategySection, frozen=True, kw_only=True):
    """`[scheduling]`: how a station spreads the energy of a session over its slots."""

    strategy: Annotated[
        str, Meta(description="Name of a scheduling strategy; its parameters stand beside it.")
    ] = "lowest_price"
    wear_eur_per_kwh: Annotated[
        float,
        Meta(ge=0, le=1000, description="Battery wear that schedules count per kWh discharged, EUR/kWh."),
    ] = 0.001


class RecommendationSettings(StrategySection, frozen=True, kw_only=True):
    """`[recommendation]`: how recommenders rank stations."""

    strategy: Annotated[
        str, Meta(description="Name of a recommendation strategy; its parameters stand beside it.")
    ] = "nearest"
    at_most: Annotated[
        int, Meta(ge=1, le=100, description="Recommendations of one recommender per request.")
    ] = 3


class ChoiceSettings(StrategySection, frozen=True, kw_only=True):
    """`[choice]`: how a vehicle chooses among recommendations."""

    strategy: Annotated[
        str, Meta(description="Name of a choice strategy; its parameters stand beside it.")
    ] = "random"


class NegotiationSettings(StrategySection, frozen=True, kw_only=True):
    """`[negotiation]`: how vehicles and stations bargain over a booking."""

    strategy: Annotated[
        str, Meta(description="Name of a negotiation strategy; its parameters stand beside it.")
    ] = "utility"
    stations_start: Annotated[
        bool,
        Meta(
            description="Stations propose changes of bookings; vehicles do when a plan changes (`[drivers]`)."
        ),
    ] = False
    rounds: Annotated[int, Meta(ge=1, le=100, description="Rounds after which a proposal is rejected.")] = 3


class ForecastSettings(StrategySection, frozen=True, kw_only=True):
    """`[forecast]`: how producers and consumers foresee their energy."""

    strategy: Annotated[
        str, Meta(description="Name of a forecast strategy; its parameters stand beside it.")
    ] = "perfect"


class BroadcastSettings(Section, frozen=True, kw_only=True):
    """`[broadcast]`: when imbalance and prices are made known."""

    threshold_kwh: Annotated[
        float,
        Meta(ge=0, le=1e12, description="Imbalance is broadcast when a slot changed by more than this, kWh."),
    ] = 1.0
    always: Annotated[
        bool,
        Meta(
            description="Every accepted schedule gives one broadcast each of imbalance and prices for today "
            "and every day of the horizon, changed or not, as in the published experiment."
        ),
    ] = False


class ResultsSettings(Section, frozen=True, kw_only=True):
    """`[results]`: what a run stores."""

    session_series: Annotated[
        bool,
        Meta(description="`sessions.parquet` holds the schedule and prices of every session, slot by slot."),
    ] = True


class Scenario(Section, frozen=True, kw_only=True):
    """Keys at the top of the file, before any section."""

    title: Annotated[str, Meta(description="What a report calls the scenario.")] = "scenario"
    seed: Annotated[
        int, Meta(ge=0, le=2**53, description="All randomness derives from it: same seed, same result.")
    ] = 1
    days: Annotated[int, Meta(ge=1, le=3660, description="Length of the run, local days.")] = 10
    start: Annotated[date, Meta(description="First day of the run, a local date.")] = date(2020, 1, 1)
    time_zone: Annotated[str, Meta(description="IANA name of the zone whose midnights bound the days.")] = (
        "UTC"
    )
    step_minutes: Annotated[
        Literal[5, 10, 15, 20, 30, 60], Meta(description="Length of a slot, minutes.")
    ] = 60
    horizon_days: Annotated[
        int, Meta(ge=1, le=7, description="Days ahead for which production, use and prices are made known.")
    ] = 1
    placement: Annotated[
        Literal["line", "disc"],
        Meta(
            description="`line`: station and vehicle n stand at latitude n mod 10, longitude 0, as in the "
            "published experiment. "
            "`disc`: anywhere within `areas.radius_km` of the area's centre."
        ),
    ] = "line"
    grid: GridSettings = GridSettings()
    areas: Annotated[
        tuple[AreaSettings, ...],
        Meta(description="Grid areas, which share nothing; absent: one, `main`, with one network."),
    ] = ()
    vehicles: VehicleSettings = VehicleSettings()
    trips: TripSettings = TripSettings()
    stations: StationSettings = StationSettings()
    pricing: PricingSettings = PricingSettings()
    scheduling: SchedulingSettings = SchedulingSettings()
    recommendation: RecommendationSettings = RecommendationSettings()
    choice: ChoiceSettings = ChoiceSettings()
    negotiation: NegotiationSettings = NegotiationSettings()
    forecast: ForecastSettings = ForecastSettings()
    broadcast: BroadcastSettings = BroadcastSettings()
    results: ResultsSettings = ResultsSettings()
    drivers: DriverSettings = DriverSettings()


STRATEGY_SECTIONS: tuple[str, ...] = (
    "pricing",
    "scheduling",
    "recommendation",
    "choice",
    "negotiation",
    "forecast",
)
