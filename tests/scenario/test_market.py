"""Day-ahead prices come from a file that covers the run, or follow the residual load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from voltagora.domain.errors import InputErrors
from voltagora.domain.series import PriceSeries
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario

START = datetime(2020, 1, 1, tzinfo=UTC)


def saved(path: Path, hours: int, first: datetime = START) -> list[str]:
    lines = ["start,price_eur_per_mwh"]
    for hour in range(hours):
        lines.append(f"{first + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{hour - 5}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return lines


def prices(**changes: object) -> PriceSeries | None:
    overrides = {"pricing.strategy": "market", "vehicles.count": 0, "days": 1}
    overrides |= {key.replace("__", "."): value for key, value in changes.items()}
    return population(read_scenario("paper-2020", overrides)).market


def test_prices_of_a_file_are_cut_to_the_run_and_shared_by_the_slots_of_an_hour(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    saved(path, 24 * 4, START - timedelta(days=1))

    series = prices(pricing__market_file=str(path), step_minutes=15)

    assert series is not None
    assert (series.start, series.step_minutes) == (int(START.timestamp()), 15)
    expected = np.repeat([(24 + hour - 5) / 1000 for hour in range(48)], 4)
    assert series.values == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("line", "value", "complaint"),
    [
        (
            3,
            "2020-01-01T05:00:00Z,1",
            "line 4: column start: got '2020-01-01T05:00:00Z', must be 2020-01-01T02",
        ),
        (
            3,
            "2020-01-01T02:00:00Z,nan",
            "line 4: column price_eur_per_mwh: got 'nan', must be a finite number",
        ),
        (3, "tomorrow,1", "line 4: column start: got 'tomorrow'"),
        (3, "1", "line 4: got '1 values', must be 2"),
        (0, "start,price", "column price_eur_per_mwh: got 'no such column'"),
    ],
)
def test_a_wrong_row_is_told(tmp_path: Path, line: int, value: str, complaint: str) -> None:
    path = tmp_path / "m.csv"
    lines = saved(path, 48)
    lines[line] = value
    path.write_text("\n".join(lines), encoding="utf-8")

    with pytest.raises(InputErrors) as caught:
        prices(pricing__market_file=str(path))
    assert complaint in str(caught.value)


def test_prices_must_reach_to_the_end_of_the_horizon(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    saved(path, 47)

    with pytest.raises(InputErrors, match="none for 2020-01-02T23:00:00Z"):
        prices(pricing__market_file=str(path))


def test_without_a_file_scarcity_is_dear() -> None:
    series = prices(days=10)
    overrides = {"vehicles.count": 0, "grid.load_share": 1.0}
    wind, solar, load = population(read_scenario("paper-2020", overrides)).areas[0].profiles

    assert series is not None
    residual = load.actual.values - wind.actual.values - solar.actual.values
    share = residual / load.actual.values
    assert np.corrcoef(series.values, share)[0, 1] > 0.95
    assert 0.04 <= series.values.min() < series.values.max() <= 0.16


def test_other_pricing_needs_no_market() -> None:
    assert prices(pricing__strategy="flat") is None
