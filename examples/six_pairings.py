"""Print the table of the published experiment: every pairing of pricing and scheduling, side by side.

python examples/six_pairings.py                               the synthetic grid profile
python examples/six_pairings.py --grid FILE --from 2017-01-01 a grid profile CSV, from a day of its rows
python examples/six_pairings.py --vehicles 100 300
"""

from __future__ import annotations

import argparse
from itertools import product

import voltagora

COLUMNS = (
    ("EUR/vehicle", "average_cost_eur_per_vehicle", "{:.2f}"),
    ("EUR/kWh", "cost_eur_per_kwh_charged", "{:.4f}"),
    ("need met", "need_met_share", "{:.3f}"),
    ("surplus peak", "surplus_peak_kwh", "{:.1f}"),
    ("deficit peak", "deficit_peak_kwh", "{:.1f}"),
    ("mean |S-D|", "mean_abs_imbalance_kwh", "{:.1f}"),
    ("peak/avg D", "peak_to_average_demand", "{:.3f}"),
    ("V2G kWh", "discharged_kwh", "{:.0f}"),
    ("messages", "messages_total", "{:d}"),
)


def main() -> None:
    """Run the pairings and print one row each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", help="grid profile CSV")
    parser.add_argument("--from", dest="start", help="day of the profile that plays the first day")
    parser.add_argument("--vehicles", nargs="+", type=int, default=[100, 300])
    wanted = parser.parse_args()
    grid = {"grid.file": wanted.grid, "grid.profile_start": wanted.start}
    grid = {key: value for key, value in grid.items() if value is not None}
    print(f"{'vehicles':>8} {'pricing':>9} {'scheduling':>13}", *(f"{title:>12}" for title, _, _ in COLUMNS))
    for count, pricing, scheduling in product(
        wanted.vehicles, ("nrgcoin", "adaptive"), ("first_slot", "lowest_price", "v2g")
    ):
        result = voltagora.run(
            "paper-2020",
            set={
                **grid,
                "vehicles.count": count,
                "pricing.strategy": pricing,
                "scheduling.strategy": scheduling,
            },
        )
        cells = (_cell(result.metrics[name], shape) for _, name, shape in COLUMNS)
        print(f"{count:>8} {pricing:>9} {scheduling:>13}", *(f"{cell:>12}" for cell in cells), flush=True)


def _cell(value: float | None, shape: str) -> str:
    return "-" if value is None else shape.format(value)


if __name__ == "__main__":
    main()
