"""What an area's producers and consumers really make and use during a run."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np

from voltagora.domain.calendar import Day
from voltagora.domain.errors import InputError, InputErrors
from voltagora.domain.fleet import ProfilePlan
from voltagora.domain.location import Location
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import round_energy
from voltagora.scenario.areas import Area
from voltagora.scenario.grid_profile import GridProfile, read_grid_profile
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.settings import Scenario
from voltagora.scenario.synthetic_grid import synthetic_grid

LOAD_KIND = "residential"


def grid_of(scenario: Scenario, horizon: Horizon) -> GridProfile:
    """Read or make the profile, and see that it covers the run.

    Raises:
        InputErrors: the file is wrong, or shorter than the run.
    """
    settings = scenario.grid
    start = settings.profile_start or scenario.start
    needed = settings.history_days + len(horizon.days)
    if settings.file is None:
        return synthetic_grid(scenario.seed, start - timedelta(days=settings.history_days), needed)
    profile = read_grid_profile(Path(settings.file), settings.first_day)
    _check_cover(profile, start, settings.history_days, len(horizon.days))
    return profile


def _check_cover(profile: GridProfile, start: date, history_days: int, days: int) -> None:
    covered = f"the rows of {profile.source} cover {profile.first_day} to {profile.last_day}"
    if not profile.first_day <= start <= profile.last_day:
        raise InputErrors([InputError("grid.profile_start", str(start), f"a day of the profile: {covered}")])
    if start - timedelta(days=history_days) < profile.first_day:
        most = (start - profile.first_day).days
        raise InputErrors([InputError("grid.history_days", history_days, f"at most {most}: {covered}")])
    end = start + timedelta(days=days - 1)
    if end > profile.last_day:
        got = (profile.last_day - start).days + 1
        raise InputErrors(
            [
                InputError(
                    "grid.file",
                    f"{got} days from {start}",
                    f"at least {days}, the run's days and its horizon (to {end}); {covered}",
                )
            ]
        )


def profiles(scenario: Scenario, area: Area, horizon: Horizon, grid: GridProfile) -> list[ProfilePlan]:
    """Make the producers and the consumer of one area.

    Their series begin `grid.history_days` before the run and end with the horizon's last day.
    """
    settings = scenario.grid
    start = settings.profile_start or scenario.start
    days = _with_history(horizon, settings.history_days)
    profile_start = start - timedelta(days=settings.history_days)

    def plan(role: Literal["EP", "EC"], column: str, kind: str, share: float) -> ProfilePlan:
        energy_kwh = share * grid.energy_kwh(
            column, profile_start, horizon.calendar, days, settings.kw_per_mw
        )
        actual = EnergySeries.of(days[0].start, scenario.step_minutes, energy_kwh)
        # Of the rounded energy, so that the rating is one that the wire can carry.
        rated_kw = round_energy(float(np.max(actual.values)) * 60.0 / scenario.step_minutes)
        return ProfilePlan(
            id=area.named(role.lower(), column),
            role=role,
            kind=kind,
            # A rating must be above 0, also of a lignite plant that never ran.
            rated_power_kw=max(rated_kw, 0.001),
            location=Location(latitude=area.settings.latitude, longitude=area.settings.longitude),
            actual=actual,
        )

    producers = [plan("EP", column, column, area.generation_share) for column in settings.producers]
    consumer = plan("EC", "load", LOAD_KIND, area.load_share * settings.load_share)
    return [*producers, consumer]


def _with_history(horizon: Horizon, history_days: int) -> list[Day]:
    first = horizon.days[0]
    return [horizon.calendar.day_after(first, -back) for back in range(history_days, 0, -1)] + horizon.days
