"""The metrics of a run for a reader: label, unit, meaning, and which way is better."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Unit = Literal["EUR", "EUR/kWh", "kWh", "share", "ratio", "count", "cycles"]


class Metric(NamedTuple):
    """One figure of run.json. `noun` completes "v2g lowers ... by 12 %"."""

    name: str
    label: str
    noun: str
    unit: Unit
    meaning: str
    better: Literal["low", "high"] | None = None


METRICS: Final = (
    Metric(
        "average_cost_eur_per_vehicle",
        "Average cost per vehicle",
        "the average cost per vehicle",
        "EUR",
        "Paid to charge less earned by discharging, to the last day's end, over all vehicles.",
        "low",
    ),
    Metric(
        "cost_eur_per_kwh_charged",
        "Cost per kWh charged",
        "the cost per kWh charged",
        "EUR/kWh",
        "The same sum over all kWh charged.",
        "low",
    ),
    Metric(
        "cost_p50_eur",
        "Median cost",
        "the median cost",
        "EUR",
        "Half of the vehicles pay at most this.",
        "low",
    ),
    Metric(
        "cost_p95_eur",
        "95th percentile of cost",
        "the 95th percentile of cost",
        "EUR",
        "All but one vehicle in twenty pay at most this.",
        "low",
    ),
    Metric(
        "cost_gini",
        "Gini coefficient of cost",
        "the inequality of cost",
        "ratio",
        "0: all vehicles pay the same. It may exceed 1 where some earn.",
        "low",
    ),
    Metric(
        "charged_kwh",
        "Charged",
        "the energy charged",
        "kWh",
        "Into vehicles, metered at the connector.",
    ),
    Metric(
        "discharged_kwh",
        "Discharged",
        "the energy discharged",
        "kWh",
        "Out of vehicles, at the connector.",
    ),
    Metric(
        "full_cycles",
        "Full cycles per vehicle",
        "the cycles per vehicle",
        "cycles",
        "Mean of (charged + discharged) / (2 · capacity) over all vehicles.",
        "low",
    ),
    Metric(
        "bookings_asked",
        "Bookings asked",
        "the bookings asked for",
        "count",
        "Stays that drivers wanted.",
    ),
    Metric(
        "bookings_made",
        "Bookings made",
        "the bookings made",
        "count",
        "Stays that got a reservation.",
        "high",
    ),
    Metric(
        "need_met_share",
        "Need met",
        "the need met",
        "share",
        "kWh gained by batteries / kWh asked, refused stays included, later departures left out.",
        "high",
    ),
    Metric(
        "occupancy_share",
        "Connectors occupied",
        "the occupancy of connectors",
        "share",
        "Connector-hours reserved / connector-hours of the run.",
    ),
    Metric(
        "charging_in_surplus_share",
        "Charged in surplus",
        "the share charged in surplus",
        "share",
        "kWh charged in slots where supply covers demand without vehicles / kWh charged.",
        "high",
    ),
    Metric(
        "surplus_peak_kwh",
        "Surplus peak",
        "the surplus peak",
        "kWh",
        "Largest supply − demand of a slot.",
        "low",
    ),
    Metric(
        "deficit_peak_kwh",
        "Deficit peak",
        "the deficit peak",
        "kWh",
        "Largest demand − supply of a slot.",
        "low",
    ),
    Metric(
        "mean_abs_imbalance_kwh",
        "Mean imbalance",
        "the mean imbalance",
        "kWh",
        "Mean of |supply − demand|.",
        "low",
    ),
    Metric(
        "peak_to_average_demand",
        "Peak to average demand",
        "the peak-to-average demand",
        "ratio",
        "Largest demand of a slot / mean demand.",
        "low",
    ),
    Metric(
        "largest_step_kwh",
        "Largest step",
        "the largest step",
        "kWh",
        "Largest change of supply − demand from a slot to the next.",
        "low",
    ),
    Metric(
        "md_balance_eur",
        "Market balance",
        "the market's balance",
        "EUR",
        "What mechanism design has left over.",
    ),
    Metric(
        "station_revenue_eur",
        "Station revenue",
        "the revenue of stations",
        "EUR",
        "What stations billed for sessions that are over.",
    ),
    Metric(
        "messages_total",
        "Messages",
        "the messages",
        "count",
        "Publications, each counted once.",
    ),
)
BY_NAME: Final = {metric.name: metric for metric in METRICS}
COUNTS: Final = ("refusals", "bookings_given_up", "messages")
"""Metrics that are counts by a word: a reason, or a protocol."""
GROUPS: Final = ("without_vehicles", "with_first_slot", "areas")
"""Metrics that hold the same figures of something to compare with."""
