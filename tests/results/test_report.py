"""The report: every section, nothing from outside, the same bytes, and something sensible for odd runs."""

from __future__ import annotations

import csv
import io
import itertools
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from voltagora.domain.records import SessionRecord, VehicleRecord
from voltagora.results.collector import Span
from voltagora.results.figures.costs import bin_edges
from voltagora.results.figures.soc import soc_fan
from voltagora.results.figures.station import busiest
from voltagora.results.figures.style import VARIABLES
from voltagora.results.figures.timeline import midnights, ticks
from voltagora.results.page import DARK, flattened
from voltagora.results.report import report_files
from voltagora.results.result import Result
from voltagora.results.wording import SPACE, change, percent, quantity

NAMES = ("imbalance", "prices", "station", "soc", "costs", "messages")
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Strict(HTMLParser):
    """Fails on a tag that is not closed or closed in the wrong order; gathers ids and what is referred to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.refers: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href"):
                self.refers.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(content: bytes) -> Strict:
    parser = Strict()
    parser.feed(content.decode())
    assert parser.open == []
    return parser


def a_result(world: Any, gathered: Any, **options: Any) -> Result:
    made = world(3, **options)
    manifest = {"name": "made <up>", "seed": 3, "scenario": {"pricing": {"K": 0.6}}}
    return Result.of(gathered(made.records, made.span, messages=True), manifest)


@pytest.fixture(scope="module")
def result(world: Any, gathered: Any) -> Result:
    return a_result(world, gathered, vehicles=12, days=3)


@pytest.fixture(scope="module")
def files(result: Result) -> dict[str, bytes]:
    return report_files(result)


def test_the_report_has_every_section_and_figure(result: Result, files: dict[str, bytes]) -> None:
    parser = parsed(files["report.html"])
    text = " ".join(parser.text)

    for section in ("figures", "balance", "refusals", "metrics", "manifest", *NAMES):
        assert section in parser.ids
    for words in ("made <up>", "scenario.pricing.K", "deficit_peak_kwh", "without vehicles", "seed 3"):
        assert words in text
    for reason, count in result.metrics["refusals"].items():
        assert reason in parser.text
        assert str(count) in parser.text
    for name in set(result.metrics) - {"messages", "refusals", "bookings_given_up", "without_vehicles"}:
        assert name in parser.text


def test_the_report_needs_nothing_from_outside(files: dict[str, bytes]) -> None:
    page = files["report.html"].decode()
    parser = parsed(files["report.html"])

    assert not re.search(r"https?:|//[a-z]|@import|<script|<link|<img", page)
    assert all(target.startswith("#") for target in parser.refers)
    assert set(re.findall(r"url\((.*?)\)", page)) <= {f"#{name}" for name in parser.ids}


def test_ids_are_unique_over_all_figures_of_the_page(files: dict[str, bytes]) -> None:
    ids = parsed(files["report.html"]).ids
    assert len(ids) == len(set(ids))


def test_every_figure_is_a_file_with_the_data_behind_it(files: dict[str, bytes]) -> None:
    for name in NAMES:
        root = ET.fromstring(files[f"figures/{name}.svg"])
        assert root.tag.endswith("svg")
        rows = list(csv.reader(io.StringIO(files[f"figures/{name}.csv"].decode())))
        assert len(rows) > 2
        assert len({len(row) for row in rows}) == 1
    assert b"reason" in files["figures/refusals.csv"]


def test_the_same_run_gives_the_same_bytes(result: Result, files: dict[str, bytes]) -> None:
    assert report_files(result) == files


def test_pages_follow_the_colours_of_the_reader(files: dict[str, bytes]) -> None:
    page = files["report.html"].decode()
    after_style = page[page.index("</style>") :]

    assert set(DARK) == set(VARIABLES.values())
    # No colour is fixed inside a figure, or it could not be read on a dark page.
    assert re.findall(r"#[0-9a-f]{6}", after_style) == []


def test_png_is_drawn_when_asked_for(result: Result) -> None:
    made = report_files(result, png=True)
    assert all(made[f"figures/{name}.png"].startswith(b"\x89PNG") for name in NAMES)


@pytest.mark.parametrize(
    "options",
    [
        {"vehicles": 0},
        {"vehicles": 1, "days": 1, "step_minutes": 1440},
        {"vehicles": 2, "days": 40, "stays": 30},
        {"vehicles": 3, "areas": 3, "step_minutes": 5, "days": 1},
        {"vehicles": 60, "stations": 1, "days": 1, "stays": 9},
    ],
)
def test_odd_runs_have_a_report_too(world: Any, gathered: Any, options: dict[str, Any]) -> None:
    result = a_result(world, gathered, **options)
    parser = parsed(report_files(result)["report.html"])

    assert set(NAMES) <= set(parser.ids)
    assert ("By grid area" in parser.text) == (options.get("areas", 1) > 1)


def test_an_empty_run_says_so(gathered: Any) -> None:
    result = Result.of(gathered([], Span(start=0, end=3600)), {})
    text = " ".join(parsed(report_files(result)["report.html"]).text)

    for words in (
        "No slot has",
        "No price has",
        "No connector has",
        "No vehicle has",
        "No vehicle took part",
        "No message",
    ):
        assert words in text


def test_without_series_the_report_says_what_is_missing(world: Any, gathered: Any) -> None:
    made = world(3)
    result = Result.of(gathered(made.records, made.span, session_series=False), {})
    assert "session_series" in report_files(result)["report.html"].decode()


def test_saving_writes_the_report_and_loading_draws_it_again(result: Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "run")
    assert report_files(Result.load(folder)) == {
        name: (folder / name).read_bytes() for name in report_files(result)
    }


@pytest.mark.parametrize("name", NAMES)
def test_plots_are_figures_that_name_their_units(result: Result, name: str) -> None:
    figure = getattr(result.plot, name)()

    assert isinstance(figure, Figure)
    words = " ".join(text.get_text() for text in figure.findobj(lambda it: hasattr(it, "get_text")))
    unit = {
        "imbalance": "kWh",
        "prices": "EUR/kWh",
        "station": "time, UTC",
        "soc": "%",
        "costs": "EUR",
        "messages": "CP1",
    }
    assert unit[name] in words


def test_a_figure_shows_itself_in_a_notebook(result: Result) -> None:
    assert result.plot.costs()._repr_png_().startswith(b"\x89PNG")


def test_prices_that_are_the_same_are_one_line_that_says_so(result: Result) -> None:
    slots = result.tables["slots"]
    place = slots.column_names.index("sell_eur_per_kwh")
    same = slots.set_column(place, "sell_eur_per_kwh", slots["buy_eur_per_kwh"])
    alike = Result(result.manifest, result.metrics, {**result.tables, "slots": same}, result.span)

    def labels(of: Result) -> list[str]:
        (axes,) = of.plot.prices().axes
        return [text.get_text().partition(":")[0] for text in axes.get_legend().get_texts()]

    assert labels(result) == ["buy", "sell"]
    assert labels(alike) == ["buy = sell"]


def test_no_figure_is_left_in_the_hands_of_pyplot(result: Result) -> None:
    import matplotlib.pyplot as plt

    result.plot.prices()
    assert plt.get_fignums() == []


def test_the_fan_holds_the_percentiles_of_the_vehicles_plugged_in(world: Any, gathered: Any) -> None:
    made = world(5, vehicles=15, days=2)
    sessions = [it for it in made.records if isinstance(it, SessionRecord)]
    by_slot: dict[int, list[float]] = {}
    for session in sessions:
        if session.state in ("cancelled", "no_show"):
            continue
        level = session.soc_at_arrival
        for n, k in enumerate(session.schedule_kwh):
            gained = k * session.charge_efficiency if k > 0 else k / session.discharge_efficiency
            level += gained / session.capacity_kwh
            by_slot.setdefault(session.first_slot + n * session.step_minutes * 60, []).append(level)

    table = Result.of(gathered(made.records, made.span), {}).tables["sessions"]
    starts, fan, plugged_in = soc_fan(table, made.span.start, made.span.end)

    for start, row, count in zip(starts.tolist(), fan, plugged_in.tolist(), strict=True):
        levels = by_slot.get(start, [])
        assert count == len(levels)
        if levels:
            np.testing.assert_allclose(row, np.percentile(levels, [5, 25, 50, 75, 95]), atol=1e-9)


def test_the_busiest_station_and_day_are_found(world: Any, gathered: Any) -> None:
    made = world(6, vehicles=20, days=3, stations=3)
    day = busiest(Result.of(gathered(made.records, made.span), {}))
    sessions = [
        it
        for it in made.records
        if isinstance(it, SessionRecord) and it.state not in ("cancelled", "no_show")
    ]

    def seconds(station: str, start: int, end: int) -> int:
        return sum(
            max(0, min(it.departure, end) - max(it.arrival, start))
            for it in sessions
            if it.station == station
        )

    assert day is not None
    span = made.span
    assert seconds(day.station, span.start, span.end) == max(
        seconds(it, span.start, span.end) for it in {session.station for session in sessions}
    )
    days = [(start, start + 86_400) for start in range(span.start, span.end, 86_400)]
    assert seconds(day.station, day.start, day.end) == max(seconds(day.station, *one) for one in days)


def test_of_equally_busy_days_and_stations_the_first_is_shown(world: Any, gathered: Any) -> None:
    made = world(6, vehicles=20, days=2, stations=1)
    one = next(it for it in made.records if isinstance(it, SessionRecord) and it.state == "completed")
    begin = made.span.start + 6 * 3600
    same = [
        msgspec.structs.replace(
            one, reservation=f"{station}-{day}", station=station, arrival=begin + day * 86_400,
            departure=begin + day * 86_400 + 3600, first_slot=begin + day * 86_400,
        )
        for station in ("b", "a") for day in (1, 0)
    ]  # fmt: skip

    day = busiest(Result.of(gathered(same, made.span), {}))

    assert day is not None
    assert (day.station, day.start) == ("a", made.span.start)


def test_bins_hold_every_cost_and_are_few(world: Any) -> None:
    for costs in ([3.0], [0.0, 0.0], [-7.5, 12.3, 400.0], [1e-7, 2e-7], np.linspace(-1e6, 3e6, 999).tolist()):
        edges = bin_edges(np.array(costs))
        assert np.histogram(costs, edges)[0].sum() == len(costs)
        assert len(edges) < 40


def test_ticks_follow_the_local_clock() -> None:
    zone = "Europe/Athens"
    # The clock goes forward on 2020-03-29: midnights are 23 hours apart.
    days = midnights(1585342800, 1585342800 + 3 * 86_400, zone)
    assert [b - a for a, b in itertools.pairwise(days)] == [86_400, 23 * 3600]
    labels = [tick.label for tick in ticks(1585429200, 1585429200 + 23 * 3600, zone, 12)]
    assert labels[:3] == ["Sun 29 Mar", "02:00", "04:00"]
    assert len(ticks(0, 400 * 86_400, "UTC", 4)) <= 4


def test_numbers_read_well() -> None:
    assert quantity(12_345.678, "kWh") == f"12.35{SPACE}MWh"
    assert quantity(25_000_000.0, "kWh") == f"25{SPACE}GWh"
    assert quantity(-3.14159, "EUR") == f"−3.14{SPACE}EUR"
    assert quantity(0.0123, "EUR") == f"0.0123{SPACE}EUR"
    assert quantity(None, "EUR") == "–"
    assert percent(0.1234) == f"12{SPACE}%"
    assert change(100.0, 88.0) == ("lowers", f" by 12{SPACE}%")
    assert change(0.0, 5.0) == ("raises", " from 0 to 5")
    assert change(7.0, 7.0) == ("does not change", "")


def test_settings_are_laid_out_flat_and_sorted() -> None:
    nested = {"b": {"y": True, "x": [1, "two"]}, "a": None, "c": {}, "d": [{"id": "one"}, {"id": "two"}]}
    assert flattened(nested) == [
        ("a", "–"), ("b.x", "1, two"), ("b.y", "true"), ("c", "–"), ("d[0].id", "one"), ("d[1].id", "two")
    ]  # fmt: skip


def test_a_fleet_of_ten_thousand_is_drawn(gathered: Any, world: Any) -> None:
    made = world(1, vehicles=0, days=1)
    fleet = [
        VehicleRecord(vehicle=f"EV{n}", area="area-0", vehicle_type="t", capacity_kwh=40.0)
        for n in range(10_000)
    ]
    result = Result.of(gathered([*made.records, *fleet], made.span), {})
    assert "10,000 vehicles" in report_files(result)["report.html"].decode()
    assert isinstance(result.tables["vehicles"], pa.Table)
