"""The cheapest schedule of one session: the slope merge, with rounding and price.

What a slot does to the battery is x, kWh stored (below 0: taken out). Its cost is convex in x
with two slopes: up to 0 the battery forgoes a sale (`(sell − wear)·η_d` a kWh), beyond 0 it buys
(`buy/η_c` a kWh). The least cost to hold e kWh after slot t, as a function of e, is therefore
convex too: a left end and segments sorted by slope. A slot inserts its two segments; the bounds
of the battery cut segments off both ends; the need is met by taking segments from the left.

Equal optima: segments are sorted by (slope, not discharging before charging, slot). Over the
costs extended by an infinitesimal price on throughput and a still smaller one on late charging
this is the same merge with distinct slopes, so the schedule is the one of least throughput and,
among those, the lexicographically greatest. Slopes count as equal when equal to 1e-12 EUR/kWh,
so that 0.201 − 0.001 ties with 0.2.

Slots where buying and selling at once would pay are not convex: they end the merge with
`ARBITRAGE`, and the caller says in which direction each may go (see `exclusive_slots.py`).

Source: infimal convolution of piecewise linear convex functions; Rockafellar 1970, "Convex
Analysis", sections 5 and 16.
"""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import Floats, Integers

INFEASIBLE = 0
SCHEDULED = 1
ARBITRAGE = 2

BOTH_WAYS = 0
CHARGE_ONLY = 1
DISCHARGE_ONLY = 2
IDLE = 3

TOLERANCE_KWH = 1e-6
SLOPE_STEPS = 1e12  # slopes closer than one step, EUR/kWh, are the same slope
ENERGY_SCALE = 1e6
MONEY_SCALE = 1e5

_READ = "Array({}, 1, 'C', readonly=True)"
_FLOATS = _READ.format("float64")
_INTEGERS = _READ.format("int64")

Stay = tuple[int, int, int, int]
"""Arrival, departure, start of the first slot, length of a slot; seconds."""

Terms = tuple[float, float, float, float, float, float, float, float, float, float]
"""Energy to gain, stored energy at arrival, its lower and its upper bound (kWh); charging and
discharging power (kW); charging and discharging efficiency; wear and least price of a sale (EUR/kWh)."""

SESSION_TYPES = (
    f"(b1, UniTuple(int64, 4), UniTuple(float64, 10), {_FLOATS}, {_FLOATS}, {_FLOATS}, {_FLOATS},"
    f" {_INTEGERS}, float64[::1])"
)


def schedule_session(
    by_price: bool,
    stay: Stay,
    terms: Terms,
    buy: Floats,
    sell: Floats,
    charge_room: Floats,
    discharge_room: Floats,
    directions: Integers,
    schedule: Floats,
) -> tuple[int, float, float, float]:
    """Schedule one session.

    Args:
        by_price: cheapest slots first; if not, full power from arrival.
        stay: when, see `Stay`.
        terms: what, see `Terms`.
        buy: EUR/kWh, shape (slots,).
        sell: EUR/kWh, shape (slots,).
        charge_room: the most kWh a slot may draw, shape (slots,), or (0,) for no limit.
        discharge_room: the most kWh a slot may feed in, likewise.
        directions: what each slot may do (`BOTH_WAYS`...), shape (slots,), or (0,) for both.
        schedule: written to, shape (slots,): kWh at the connector, rounded.

    Returns:
        `INFEASIBLE`, `SCHEDULED` or `ARBITRAGE`; the most the battery can gain, kWh; the cost as
        settled, EUR rounded; the objective before rounding, EUR.
    """
    slots = len(schedule)
    return _scheduled(
        by_price,
        stay,
        terms,
        buy,
        sell,
        charge_room,
        discharge_room,
        directions,
        schedule,
        np.empty((4, slots)),
        np.empty((2, 4 * slots + 2)),
        np.empty(4 * slots + 2, np.int64),
    )


BATCH_TYPES = (
    f"(b1, {_READ.format('int64').replace(', 1,', ', 2,')}, {_FLOATS.replace(', 1,', ', 2,')}, {_INTEGERS},"
    f" {_FLOATS}, {_FLOATS}, {_FLOATS}, {_FLOATS}, int64[::1], float64[::1], float64[:, ::1])"
)


def schedule_batch(
    by_price: bool,
    stays: Integers,
    terms: Floats,
    offsets: Integers,
    buy: Floats,
    sell: Floats,
    charge_room: Floats,
    discharge_room: Floats,
    states: Integers,
    schedules: Floats,
    amounts: Floats,
) -> None:
    """Schedule many sessions whose slots lie end to end.

    Args:
        by_price: as of `schedule_session`.
        stays: shape (sessions, 4), columns as `Stay`.
        terms: shape (sessions, 10), columns as `Terms`.
        offsets: where each session's slots begin, and the end, shape (sessions + 1,).
        buy: EUR/kWh, shape (slots of all,).
        sell: likewise.
        charge_room: likewise, kWh, or (0,).
        discharge_room: likewise.
        states: written to, shape (sessions,): `INFEASIBLE`, `SCHEDULED` or `ARBITRAGE`.
        schedules: written to, shape (slots of all,).
        amounts: written to, shape (sessions, 3): most kWh, cost, objective.
    """
    longest = 0
    for i in range(len(states)):
        longest = max(longest, offsets[i + 1] - offsets[i])
    limits = np.empty((4, longest))
    segments = np.empty((2, 4 * longest + 2))
    owners = np.empty(4 * longest + 2, np.int64)
    anywhere = np.empty(0, np.int64)
    for i in range(len(states)):
        begin, end = offsets[i], offsets[i + 1]
        at, of = stays[i], terms[i]
        states[i], amounts[i, 0], amounts[i, 1], amounts[i, 2] = _scheduled(
            by_price,
            (at[0], at[1], at[2], at[3]),
            (of[0], of[1], of[2], of[3], of[4], of[5], of[6], of[7], of[8], of[9]),
            buy[begin:end],
            sell[begin:end],
            charge_room[begin:end],
            discharge_room[begin:end],
            anywhere,
            schedules[begin:end],
            limits,
            segments,
            owners,
        )


def _scheduled(
    by_price: bool,
    stay: Stay,
    terms: Terms,
    buy: Floats,
    sell: Floats,
    charge_room: Floats,
    discharge_room: Floats,
    directions: Integers,
    schedule: Floats,
    limits: Floats,
    segments: Floats,
    owners: Integers,
) -> tuple[int, float, float, float]:
    energy, start, low, high = terms[0], terms[1], terms[2], terms[3]
    total, arbitrage = slot_limits(
        by_price, stay, terms, buy, sell, charge_room, discharge_room, directions, limits
    )
    most = min(high - start, total)
    if energy > most + TOLERANCE_KWH:
        return INFEASIBLE, np.rint(most * ENERGY_SCALE) / ENERGY_SCALE, 0.0, 0.0
    if arbitrage:
        return ARBITRAGE, most, 0.0, 0.0
    _merge(limits, low, high, start, start + energy, schedule, segments, owners)
    cost, objective = _settle(terms, buy, sell, schedule)
    return SCHEDULED, most, cost, objective


LIMIT_TYPES = (
    f"(b1, UniTuple(int64, 4), UniTuple(float64, 10), {_FLOATS}, {_FLOATS}, {_FLOATS}, {_FLOATS},"
    f" {_INTEGERS}, float64[:, ::1])"
)


def slot_limits(
    by_price: bool,
    stay: Stay,
    terms: Terms,
    buy: Floats,
    sell: Floats,
    charge_room: Floats,
    discharge_room: Floats,
    directions: Integers,
    limits: Floats,
) -> tuple[float, bool]:
    """Work out what each slot can do to the battery, and at what slopes.

    Args:
        by_price: as of `schedule_session`, like all that follow.
        stay: when.
        terms: what.
        buy: EUR/kWh.
        sell: EUR/kWh.
        charge_room: kWh, or (0,).
        discharge_room: kWh, or (0,).
        directions: or (0,).
        limits: written to, shape (4, slots or more): kWh that can be stored, kWh that can be taken
            out, slope of storing, slope of not taking out (both in steps of 1e-12 EUR/kWh).

    Returns:
        The most that all slots can store, kWh; whether some slot needs a choice of direction.
    """
    arrival, departure, slot, step = stay
    charge_kw, discharge_kw, charge_efficiency, discharge_efficiency, wear, min_sell = terms[4:]
    most = 0.0
    arbitrage = False
    for t in range(len(buy)):
        hours = (min(departure, slot + step) - max(arrival, slot)) / 3600.0
        slot += step
        drawn = charge_kw * hours
        if len(charge_room) > 0:
            drawn = max(0.0, min(drawn, charge_room[t]))
        fed = discharge_kw * hours if sell[t] >= min_sell else 0.0
        if len(discharge_room) > 0:
            fed = max(0.0, min(fed, discharge_room[t]))
        most += charge_efficiency * drawn
        buying = np.rint(buy[t] / charge_efficiency * SLOPE_STEPS) if by_price else 0.0
        selling = np.rint((sell[t] - wear) * discharge_efficiency * SLOPE_STEPS)
        if len(directions) > 0:
            if directions[t] == DISCHARGE_ONLY or directions[t] == IDLE:
                drawn = 0.0
            if directions[t] == CHARGE_ONLY or directions[t] == IDLE:
                fed = 0.0
        arbitrage = arbitrage or (buying < selling and drawn > 0.0 and fed > 0.0)
        limits[0, t] = charge_efficiency * drawn
        limits[1, t] = fed / discharge_efficiency
        limits[2, t] = buying
        limits[3, t] = selling
    return most, arbitrage


REACH_TYPES = "(float64, float64, float64, float64, float64[:, ::1])"


def reachable(start: float, low: float, high: float, target: float, limits: Floats) -> Floats:
    """Bound the energy held before each slot by what can be reached from both ends.

    Args:
        start: energy held at arrival, kWh.
        low: the least the battery may hold, kWh.
        high: the most, kWh.
        target: energy held at departure, kWh.
        limits: as `slot_limits` fills it, shape (4, slots).

    Returns:
        Least and most kWh, shape (2, slots + 1).
    """
    slots = limits.shape[1]
    bounds = np.empty((2, slots + 1))
    bounds[0, 0] = start
    bounds[1, 0] = start
    for t in range(slots):
        bounds[0, t + 1] = max(low, bounds[0, t] - limits[1, t])
        bounds[1, t + 1] = min(high, bounds[1, t] + limits[0, t])
    least, most = target, target
    for t in range(slots - 1, 0, -1):
        least = max(low, least - limits[0, t])
        most = min(high, most + limits[1, t])
        bounds[0, t] = max(bounds[0, t], least)
        bounds[1, t] = min(bounds[1, t], most)
    return bounds


def _merge(
    limits: Floats,
    low: float,
    high: float,
    start: float,
    target: float,
    stored: Floats,
    segments: Floats,
    owners: Integers,
) -> None:
    """Write into `stored` the kWh that each slot stores at least cost.

    The segments lie sorted in the middle of their buffer, so that an insertion moves the shorter
    side, searching as it moves: they are few, and halving would be slower for its unguessable
    branches. A rank is twice the slope in steps, plus 1 for charging; slots come in order, so equal
    ranks stay sorted by slot. (Beyond 4,500 EUR/kWh ranks are rounded, and a tie may fall the other
    way.) A piece cut off the left end is used by every optimal continuation, one cut off the right
    end by none: both are decided at once, and nothing is ever traced back.
    """
    ranks, lengths = segments[0], segments[1]
    first = 2 * len(stored) + 1
    last = first  # the segments are those of [first, last)
    left = start
    right = start
    for t in range(len(stored)):
        for kind in range(2):  # not discharging, then charging
            length = limits[1 - kind, t]
            if length <= 0.0:
                continue
            rank = 2.0 * limits[3 - kind, t] + kind
            if first < last and ranks[(first + last) >> 1] <= rank:
                place = last
                while ranks[place - 1] > rank:
                    ranks[place] = ranks[place - 1]
                    lengths[place] = lengths[place - 1]
                    owners[place] = owners[place - 1]
                    place -= 1
                last += 1
            else:
                first -= 1
                place = first
                while place + 1 < last and ranks[place + 1] <= rank:
                    ranks[place] = ranks[place + 1]
                    lengths[place] = lengths[place + 1]
                    owners[place] = owners[place + 1]
                    place += 1
            ranks[place] = rank
            lengths[place] = length
            owners[place] = t
        stored[t] = -limits[1, t]
        left -= limits[1, t]
        right += limits[0, t]
        if left < low:
            first = _take(low - left, first, last, stored, lengths, owners)
            left = low
        if right > high:
            last = _drop(right - high, first, last, lengths)
            right = high
    _take(target - left, first, last, stored, lengths, owners)


def _take(amount: float, first: int, last: int, stored: Floats, lengths: Floats, owners: Integers) -> int:
    """Use that many kWh of segments from the left; give the new left end."""
    while amount > 0.0 and first < last:
        if lengths[first] > amount:
            lengths[first] -= amount
            stored[owners[first]] += amount
            return first
        amount -= lengths[first]
        stored[owners[first]] += lengths[first]
        first += 1
    return first


def _drop(amount: float, first: int, last: int, lengths: Floats) -> int:
    """Forget that many kWh of segments from the right; give the new right end."""
    while amount > 0.0 and first < last:
        if lengths[last - 1] > amount:
            lengths[last - 1] -= amount
            return last
        amount -= lengths[last - 1]
        last -= 1
    return last


def _settle(terms: Terms, buy: Floats, sell: Floats, schedule: Floats) -> tuple[float, float]:
    """Turn stored kWh into rounded kWh at the connector; give cost (EUR rounded) and objective (EUR)."""
    charge_efficiency, discharge_efficiency, wear = terms[6], terms[7], terms[8]
    cost = 0.0
    objective = 0.0
    for t in range(len(schedule)):
        # Both ways are worked out, one of them 0: a branch here could not be guessed.
        drawn = (schedule[t] if schedule[t] > 0.0 else 0.0) / charge_efficiency
        fed = (schedule[t] if schedule[t] < 0.0 else 0.0) * discharge_efficiency
        objective += drawn * buy[t] + fed * (sell[t] - wear)
        energy = np.rint((drawn + fed) * ENERGY_SCALE) / ENERGY_SCALE + 0.0  # −0 becomes 0
        cost += (energy if energy > 0.0 else 0.0) * buy[t] + (energy if energy < 0.0 else 0.0) * sell[t]
        schedule[t] = energy
    return np.rint(cost * MONEY_SCALE) / MONEY_SCALE + 0.0, objective
