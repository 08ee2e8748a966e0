"""Random sessions, and the programme of domain.md restated in its own variables for scipy's HiGHS."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from voltagora.strategies.scheduling.decision import Session

WEAR = 0.001


def random_session(rng: np.random.Generator, slots: int | None = None) -> Session:
    """Draw a session; every special case of domain.md comes up often."""
    n = int(rng.integers(1, 25)) if slots is None else slots
    step = int(rng.choice([300, 900, 1800, 3600]))
    first = 1_577_836_800 + step * int(rng.integers(0, 50))
    arrival = first + int(rng.choice([0, rng.integers(0, step)]))
    departure = first + n * step - int(rng.choice([0, rng.integers(0, step)]))
    departure = max(departure, arrival + 1, first + (n - 1) * step + 1)
    capacity = float(rng.choice([5.0, 24.0, 40.0, 77.4]))
    soc = float(rng.choice([0.0, 0.05, 0.5, 1.0, rng.random()]))
    low, high = 0.1 * capacity, float(rng.choice([0.8, 1.0])) * capacity
    start = soc * capacity
    charge_kw = float(rng.choice([0.0, 3.7, 11.0, 22.0, 50.0], p=[0.03, 0.3, 0.3, 0.3, 0.07]))
    discharge_kw = float(rng.choice([0.0, 3.7, charge_kw], p=[0.2, 0.3, 0.5]))
    eta_in, eta_out = rng.choice([1.0, 0.95, 0.9, 0.6], 2) if rng.random() < 0.6 else (1.0, 1.0)
    hours = (departure - arrival) / 3600
    possible = min(max(start, high) - start, eta_in * charge_kw * hours)
    energy = float(
        rng.choice([0.0, possible, possible * rng.random(), 1.2 * possible + 0.1], p=[0.1, 0.2, 0.6, 0.1])
    )
    buy, sell = random_prices(rng, n)
    rooms = (
        rng.random((2, n)) * max(charge_kw, 1.0) * step / 3600 * 1.5 if rng.random() < 0.25 else (None, None)
    )
    return Session(
        arrival=arrival,
        departure=departure,
        first_slot=first,
        step_seconds=step,
        buy=buy,
        sell=sell,
        energy_kwh=energy,
        start_kwh=start,
        low_kwh=min(start, low),
        high_kwh=max(start, high),
        charge_kw=charge_kw,
        discharge_kw=discharge_kw,
        charge_efficiency=float(eta_in),
        discharge_efficiency=float(eta_out),
        min_sell_eur_kwh=0.15 if rng.random() < 0.2 else -np.inf,
        headroom_charge_kwh=rooms[0],
        headroom_discharge_kwh=rooms[1],
    )


def random_prices(rng: np.random.Generator, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw prices: usual ones, ones with many ties, negative ones, and ones that pay to churn."""
    kind = rng.integers(0, 5)
    buy = np.round(0.1 + 0.25 * rng.random(slots), 5)
    sell = np.round(buy * rng.choice([0.5, 0.9, 1.0]), 5)
    if kind == 1:
        buy = np.round(0.1 * rng.integers(1, 4, slots), 5)
        sell = np.round(buy + rng.choice([0.0, 0.001]), 5)
    elif kind == 2:
        buy = np.round(0.4 * rng.random(slots) - 0.2, 5)
        sell = buy.copy()
    elif kind == 3:
        sell = np.round(buy + 0.1 * rng.random(slots) - 0.08, 5)
    return buy, sell


class Limits(NamedTuple):
    """What a session may do in each slot, worked out from the formulas."""

    hours: np.ndarray
    charge_kw: np.ndarray
    discharge_kw: np.ndarray


def limits(session: Session) -> Limits:
    """Restate w_t, Pc_t and Pd_t."""
    n = len(session.buy)
    starts = session.first_slot + session.step_seconds * np.arange(n)
    ends = np.minimum(session.departure, starts + session.step_seconds)
    hours = (ends - np.maximum(session.arrival, starts)) / 3600
    charge = np.full(n, session.charge_kw)
    discharge = np.where(session.sell < session.min_sell_eur_kwh, 0.0, session.discharge_kw)
    if session.headroom_charge_kwh is not None:
        charge = np.minimum(charge, session.headroom_charge_kwh / hours)
    if session.headroom_discharge_kwh is not None:
        discharge = np.minimum(discharge, session.headroom_discharge_kwh / hours)
    return Limits(hours, charge, discharge)


class Programme:
    """The joint programme of some sessions in powers c, d; one session is a station of one."""

    def __init__(
        self, sessions: list[Session], grid_limit_kw: float | None = None, wear: float = WEAR
    ) -> None:
        self.sessions, self.blocks, self.wear = sessions, [limits(s) for s in sessions], wear
        self.n = sum(len(s.buy) for s in sessions)
        self.hours = np.concatenate([b.hours for b in self.blocks])
        self.charge = np.concatenate([b.charge_kw for b in self.blocks])
        self.discharge = np.concatenate([b.discharge_kw for b in self.blocks])
        self.grid_limit_kw = grid_limit_kw

    def solve(
        self, *, most_of_last: bool = False, everywhere: bool = False, mixing: bool = False
    ) -> float | None:
        """Give the least cost, EUR, or the most the last session can gain, kWh; None if infeasible.

        `everywhere` puts a binary in every slot, `mixing` in none: then the cost is only a bound.
        """
        buy = np.concatenate([s.buy for s in self.sessions])
        sell = np.concatenate([s.sell for s in self.sessions])
        eta_in = np.concatenate([np.full(len(s.buy), s.charge_efficiency) for s in self.sessions])
        eta_out = np.concatenate([np.full(len(s.buy), s.discharge_efficiency) for s in self.sessions])
        w, n = self.hours, self.n
        cost = np.concatenate([w * buy, w * (self.wear - sell), np.zeros(n)])
        binary = (self.charge > 0) & (self.discharge > 0)
        if not everywhere:
            binary &= buy < (sell - self.wear) * eta_in * eta_out - 1e-12
        binary &= not mixing
        eye = sparse.identity(n, format="csr")
        books, low, high = self._books(eta_in, eta_out, most_of_last)
        if (low > high + 1e-9).any():
            return None  # the need goes beyond the battery
        high = np.maximum(low, high)
        rows = [LinearConstraint(books, low, high)]
        # c/Pc + d/Pd ≤ 1, and in slots with a binary z: c ≤ Pc·z, d ≤ Pd·(1 − z).
        share = [
            np.divide(1.0, p, out=np.zeros(n), where=(self.charge > 0) & (self.discharge > 0))
            for p in (self.charge, self.discharge)
        ]
        rows.append(
            LinearConstraint(
                sparse.hstack([sparse.diags(share[0]), sparse.diags(share[1]), 0 * eye]), -np.inf, 1.0
            )
        )
        choose = sparse.diags(binary.astype(float), format="csr")
        rows.append(
            LinearConstraint(
                sparse.hstack([choose, 0 * eye, -choose @ sparse.diags(self.charge)]), -np.inf, 0.0
            )
        )
        top = np.where(binary, self.discharge, 0.0)
        rows.append(LinearConstraint(sparse.hstack([0 * eye, choose, sparse.diags(top)]), -np.inf, top))
        if self.grid_limit_kw is not None:
            rows.append(self._grid())
        if most_of_last:
            cost = -self._gain_of_last(eta_in, eta_out)
        found = milp(
            cost,
            constraints=rows,
            bounds=Bounds(0, np.concatenate([self.charge, self.discharge, np.ones(n)])),
            integrality=np.concatenate([np.zeros(2 * n), binary]),
            options={"mip_rel_gap": 0.0},
        )
        if found.status == 2:
            return None
        assert found.status == 0, found.message
        return float(-found.fun if most_of_last else found.fun)

    def _books(
        self, eta_in: np.ndarray, eta_out: np.ndarray, most_of_last: bool
    ) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        sums = sparse.block_diag(
            [sparse.coo_matrix(np.tril(np.ones((len(s.buy), len(s.buy))))) for s in self.sessions],
            format="csr",
        )
        books = sparse.hstack(
            [sums @ sparse.diags(self.hours * eta_in), -sums @ sparse.diags(self.hours / eta_out), 0 * sums]
        )
        low, high = [], []
        for s in self.sessions:
            low += [s.low_kwh - s.start_kwh] * len(s.buy)
            high += [s.high_kwh - s.start_kwh] * len(s.buy)
            if not (most_of_last and s is self.sessions[-1]):
                low[-1], high[-1] = s.energy_kwh, min(s.energy_kwh, high[-1])
        return books, np.array(low), np.array(high)

    def _gain_of_last(self, eta_in: np.ndarray, eta_out: np.ndarray) -> np.ndarray:
        ours = (np.arange(self.n) >= self.n - len(self.sessions[-1].buy)).astype(float)
        return np.concatenate([ours * self.hours * eta_in, -ours * self.hours / eta_out, np.zeros(self.n)])

    def _grid(self) -> LinearConstraint:
        starts = np.concatenate(
            [s.first_slot + s.step_seconds * np.arange(len(s.buy)) for s in self.sessions]
        )
        slots = np.unique(starts)
        pick = sparse.csr_matrix((starts == slots[:, None]) * self.hours)
        limit = self.grid_limit_kw * self.sessions[0].step_seconds / 3600
        return LinearConstraint(sparse.hstack([pick, -pick, 0 * pick]), -limit, limit)


@pytest.fixture
def a_session() -> Callable[..., Session]:
    """A plain session of four whole hours, with whatever is changed."""
    plain = Session(
        arrival=0,
        departure=4 * 3600,
        first_slot=0,
        step_seconds=3600,
        buy=np.array([0.3, 0.1, 0.2, 0.1]),
        sell=np.array([0.2, 0.05, 0.1, 0.05]),
        energy_kwh=10.0,
        start_kwh=10.0,
        low_kwh=4.0,
        high_kwh=40.0,
        charge_kw=7.0,
        discharge_kw=0.0,
    )
    return lambda **changes: msgspec.structs.replace(plain, **changes)


@pytest.fixture
def draw() -> Callable[..., Session]:
    """`random_session`."""
    return random_session


@pytest.fixture
def programme() -> type[Programme]:
    """`Programme`."""
    return Programme


@pytest.fixture
def limits_of() -> Callable[[Session], Limits]:
    """`limits`."""
    return limits
