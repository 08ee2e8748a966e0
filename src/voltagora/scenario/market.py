"""Day-ahead prices for the pricing strategy `market`."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from voltagora.domain.errors import InputError, InputErrors
from voltagora.domain.series import PriceSeries
from voltagora.domain.units import Floats, Time
from voltagora.scenario.grid_profile import GridProfile
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.number_table import MOST_ERRORS, header_of, read_text
from voltagora.scenario.settings import Scenario

HEADER = ("start", "price_eur_per_mwh")
LEAST_EUR_PER_KWH, RESIDUAL_EUR_PER_KWH = 0.04, 0.12


def market_prices(scenario: Scenario, horizon: Horizon, grid: GridProfile) -> PriceSeries | None:
    """Give the price of every slot of the run and its horizon; None unless pricing is `market`.

    Raises:
        InputErrors: the file is wrong or does not cover the run.
    """
    if scenario.pricing.strategy != "market":
        return None
    if scenario.pricing.market_file is not None:
        hourly = _read(Path(scenario.pricing.market_file), horizon)
    else:
        return _synthetic(scenario, horizon, grid)
    repeats = 60 // scenario.step_minutes
    return PriceSeries.of(horizon.start, scenario.step_minutes, np.repeat(hourly, repeats))


def _synthetic(scenario: Scenario, horizon: Horizon, grid: GridProfile) -> PriceSeries:
    """Dear where load exceeds wind and sun most: 0.04 EUR/kWh and 0.12 times the residual share."""
    start = scenario.grid.profile_start or scenario.start
    load, wind, solar = (
        grid.energy_kwh(column, start, horizon.calendar, horizon.days, 1.0)
        for column in ("load", "wind", "solar")
    )
    residual = np.clip((load - wind - solar) / np.maximum(load, 1e-9), 0.0, 1.0)
    prices = LEAST_EUR_PER_KWH + RESIDUAL_EUR_PER_KWH * residual**2
    return PriceSeries.of(horizon.start, scenario.step_minutes, prices)


def _read(path: Path, horizon: Horizon) -> Floats:
    """Read hourly prices, one row after the other, and cut out the run; EUR/kWh."""
    text = read_text(path)
    names = header_of(path, text, HEADER)
    rows = list(csv.reader(io.StringIO(text.rstrip())))[1:]
    errors: list[InputError] = []
    prices: dict[int, float] = {}
    expected: int | None = None
    for line, cells in enumerate(rows, start=2):
        if len(errors) >= MOST_ERRORS:
            break
        if len(cells) != len(names):
            errors.append(InputError(f"{path}: line {line}", f"{len(cells)} values", f"{len(names)}"))
            continue
        start_text, price_text = (cells[names.index(column)] for column in HEADER)
        start, price = _time(start_text), _price(price_text)
        if start is None or (expected is not None and start != expected):
            wish = "a UTC time like 2020-01-31T08:00:00Z" if expected is None else str(Time(expected))
            errors.append(InputError(f"{path}: line {line}: column start", start_text, wish))
        if price is None:
            errors.append(
                InputError(f"{path}: line {line}: column price_eur_per_mwh", price_text, "a finite number")
            )
        if start is not None and price is not None:
            prices[start] = price / 1000.0
            expected = start + 3600
    if errors:
        raise InputErrors(errors)
    return _cut(path, prices, horizon)


def _cut(path: Path, prices: dict[int, float], horizon: Horizon) -> Floats:
    hours = range(horizon.start, horizon.last_end, 3600)
    missing = next((hour for hour in hours if hour not in prices), None)
    if missing is not None:
        wanted = f"hourly prices from {Time(horizon.start)} to {Time(horizon.last_end)}"
        raise InputErrors([InputError(f"pricing.market_file: {path}", f"none for {Time(missing)}", wanted)])
    return np.array([prices[hour] for hour in hours], dtype=np.float64)


def _time(text: str) -> int | None:
    try:
        return Time.parse(text.strip())
    except ValueError:
        return None


def _price(text: str) -> float | None:
    try:
        price = float(text)
    except ValueError:
        return None
    return price if math.isfinite(price) else None
