"""Asks a stored run questions in SQL: Parquet files and DuckDB, no VoltAgora needed to read them.

pip install duckdb
python examples/read_results.py            reads runs/quickstart, and runs that first if need be
python examples/read_results.py DIR        any folder that `voltagora run --out DIR` wrote
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

QUESTIONS = {
    "Which stations sold most?": """
        select station, network, count(*) as bookings,
               round(sum(charged_kwh), 1) as charged_kwh, round(sum(cost_eur), 2) as revenue_eur
        from sessions where state = 'completed'
        group by all order by revenue_eur desc limit 5
    """,
    "At which hours of the clock does the fleet charge and sell?": """
        select hour(start) as hour, round(sum(charging_kwh), 1) as charging_kwh,
               round(sum(discharging_kwh), 1) as discharging_kwh, round(avg(buy_eur_per_kwh), 3) as buy
        from slots group by hour order by hour
    """,
    "How do drivers do who allow V2G, and those who do not?": """
        select v2g, count(distinct vehicle) as vehicles, round(avg(cost_eur), 2) as eur_per_booking,
               round(sum(cost_eur) / sum(charged_kwh - discharged_kwh), 3) as eur_per_net_kwh
        from sessions where state = 'completed' group by v2g order by v2g
    """,
    # A schedule is a list, one value a slot: unnest makes rows of it.
    "When was a single session active?": """
        select reservation, first_slot + to_minutes(step_minutes * (place - 1)) as slot, energy_kwh
        from (select reservation, first_slot, step_minutes,
                     unnest(schedule_kwh) as energy_kwh, generate_subscripts(schedule_kwh, 1) as place
              from sessions where reservation = (select reservation from sessions where discharged_kwh > 0
                                                 order by discharged_kwh desc, reservation limit 1))
        where energy_kwh <> 0 order by slot
    """,
    "What were drivers told who got no booking?": """
        select n.outcome, count(*) as stays, round(avg(n.energy_kwh), 1) as mean_kwh
        from needs n where n.reservation is null group by n.outcome order by stays desc
    """,
}


def stored_run() -> Path:
    """Give the folder to read, made by a run if nobody named one."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    folder = Path("runs/quickstart")
    if not folder.exists():
        import voltagora

        voltagora.run("quickstart").save(folder)
    return folder


def main() -> None:
    folder = stored_run()
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    print(f"{manifest['name']}, seed {manifest['seed']}, from {manifest['span']['start']}")
    database = duckdb.connect()
    database.execute("set TimeZone = ?", [manifest["span"]["time_zone"]])  # show times as the clocks there do
    for table in ("sessions", "slots", "needs"):
        database.read_parquet(str(folder / f"{table}.parquet")).create_view(table)
    for question, query in QUESTIONS.items():
        print(f"\n{question}")
        database.sql(query).show(max_rows=30)


if __name__ == "__main__":
    main()
