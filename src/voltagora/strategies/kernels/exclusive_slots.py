"""Which way each slot goes where buying and selling at once would pay but is forbidden.

In such a slot the cost of storing x kWh is concave, so the least cost to go, as a function of
the energy held, is piecewise linear but not convex, and the slope merge is only a bound. It is
worked out exactly all the same, from the last slot to the first:

    W_t(e) = min over x of f_t(x) + W_{t+1}(e + x)

W is a chain of linear pieces. Each of its convex runs is convolved with the one or two convex
halves of f_t (charging, discharging) by sorting slopes; W_t is the lower envelope of the results.
A forward pass then picks the greatest x that is optimal in each slot, so that the directions are
those of the lexicographically greatest schedule; the merge, told the directions, does the amounts.

Every value is a pair (cost, throughput), compared in that order, so equal costs are settled by
least throughput. Throughput may jump where cost does not: pieces are closed at both ends, the
better value holds where two meet, and a piece may be a single point.

Cost: one envelope a slot, O(n log n) for n pieces. Where all slots can move the same energy, n is
bounded by the distinct sums of whole moves within the battery (tens to hundreds). With a different
limit in every slot the problem contains subset sum: n may then double with each such slot, in
theory; nothing but the envelope's dominance bounds it. (There is no branching: equal slots, which
make branch and bound explode, fall together here.)
"""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.kernels.session_schedule import CHARGE_ONLY, DISCHARGE_ONLY, IDLE, SLOPE_STEPS

SLIVER_KWH = 1e-12  # a shorter piece is rounding
SAME_KWH = 1e-9  # throughputs closer than this are equal
STILL_KWH = 1e-10  # a slot that stores less than this stands still

LEFT, RIGHT, COST, COST_SLOPE, USE, USE_SLOPE = 0, 1, 2, 3, 4, 5  # rows of a chain; values at its left ends

DIRECTION_TYPES = "(float64, float64, float64, float64, float64, float64, float64[:, ::1])"


def choose_directions(
    start: float,
    low: float,
    high: float,
    target: float,
    charge_efficiency: float,
    discharge_efficiency: float,
    limits: Floats,
) -> Integers:
    """Choose a direction for each slot.

    Args:
        start: energy held at arrival, kWh.
        low: the least the battery may hold, kWh.
        high: the most, kWh.
        target: energy held at departure, kWh; it can be reached.
        charge_efficiency: 0 to 1.
        discharge_efficiency: 0 to 1.
        limits: as `slot_limits` fills it, shape (4, slots).

    Returns:
        `CHARGE_ONLY`, `DISCHARGE_ONLY` or `IDLE` where the slot needs a choice, else `BOTH_WAYS`;
        shape (slots,).
    """
    slots = limits.shape[1]
    # The cost of rounding in one sum over all slots: what lies closer is equal.
    turnover = np.sum(limits[0]) + np.sum(limits[1])
    steepest = max(np.max(np.abs(limits[2])), np.max(np.abs(limits[3]))) / SLOPE_STEPS
    same_eur = max(1e-12, 2e-15 * steepest * turnover)
    bounds = _reachable(start, low, high, target, limits)
    chains = np.zeros((6, 64))
    ends = np.zeros(slots + 1, np.int64)  # W_t lies in chains[:, ends[t]:ends[t - 1]]; the last slot first
    chains[LEFT, 0] = target
    chains[RIGHT, 0] = target
    begin, end = 0, 1
    ends[slots] = 1
    for t in range(slots - 1, 0, -1):
        chain = _stepped_back(
            chains[:, begin:end],
            limits[:, t],
            1.0 / charge_efficiency,
            discharge_efficiency,
            bounds[0, t],
            bounds[1, t],
            same_eur,
        )
        begin, end = end, end + chain.shape[1]
        if end > chains.shape[1]:
            longer = np.zeros((6, 2 * end))
            longer[:, :begin] = chains[:, :begin]
            chains = longer
        chains[:, begin:end] = chain
        ends[t] = end
    return _directions(start, chains, ends, limits, 1.0 / charge_efficiency, discharge_efficiency, same_eur)


def _reachable(start: float, low: float, high: float, target: float, limits: Floats) -> Floats:
    """Bound the energy held before each slot by what can be reached from both ends, shape (2, slots + 1)."""
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


def _stepped_back(
    chain: Floats,
    limit: Floats,
    use_in: float,
    use_out: float,
    least: float,
    most: float,
    same_eur: float,
) -> Floats:
    """Give W_t from W_{t+1}: the envelope of its convex runs, each convolved with each half of the slot."""
    exclusive = limit[2] < limit[3] and limit[0] > 0.0 and limit[1] > 0.0
    pieces = chain.shape[1]
    found = np.empty((6, 6 * pieces))
    ends = np.empty(2 * pieces, np.int64)
    count, length = 0, 0
    first = 0
    while first < pieces:
        last = first + 1
        while last < pieces and _goes_on(chain, last, same_eur):
            last += 1
        for half in range(2 if exclusive else 1):
            up = 0.0 if exclusive and half == 1 else limit[0]
            down = 0.0 if exclusive and half == 0 else limit[1]
            longer = _convolve(
                chain, first, last, limit, up, down, use_in, use_out, least, most, found, length
            )
            if longer > length:
                ends[count] = longer
                count += 1
                length = longer
        first = last
    return _envelope(found, ends, count, same_eur)


def _goes_on(chain: Floats, i: int, same_eur: float) -> bool:
    """Tell whether piece i continues the convex run that the piece before it belongs to."""
    width = chain[RIGHT, i - 1] - chain[LEFT, i - 1]
    cost = chain[COST, i - 1] + width * chain[COST_SLOPE, i - 1]
    use = chain[USE, i - 1] + width * chain[USE_SLOPE, i - 1]
    if abs(cost - chain[COST, i]) > same_eur or abs(use - chain[USE, i]) > SAME_KWH:
        return False
    if abs(chain[RIGHT, i - 1] - chain[LEFT, i]) > 2 * SLIVER_KWH:
        return False
    if chain[COST_SLOPE, i - 1] != chain[COST_SLOPE, i]:
        return bool(chain[COST_SLOPE, i - 1] < chain[COST_SLOPE, i])
    return bool(chain[USE_SLOPE, i - 1] <= chain[USE_SLOPE, i])


def _convolve(
    chain: Floats,
    first: int,
    last: int,
    limit: Floats,
    up: float,
    down: float,
    use_in: float,
    use_out: float,
    least: float,
    most: float,
    found: Floats,
    length: int,
) -> int:
    """Append to `found` a convex run with the slot's segments sorted in, clipped; give the new length.

    Seen from the energy before the slot, charging less is a segment of slope −buy, discharging
    more one of slope −sell.
    """
    slope_in, slope_out = -limit[2] / SLOPE_STEPS, -limit[3] / SLOPE_STEPS
    left = chain[LEFT, first] - up
    cost = chain[COST, first] - slope_in * up
    use = chain[USE, first] + use_in * up
    begun = length
    i = first
    while i < last or up >= 0.0 or down >= 0.0:
        # Which comes next: the run's own piece, charging less, or discharging more?
        which = 0 if i < last else 3
        cost_slope, use_slope = chain[COST_SLOPE, min(i, last - 1)], chain[USE_SLOPE, min(i, last - 1)]
        if up >= 0.0 and (
            which == 3 or slope_in < cost_slope or (slope_in == cost_slope and -use_in < use_slope)
        ):
            which, cost_slope, use_slope = 1, slope_in, -use_in
        if down >= 0.0 and (
            which == 3 or slope_out < cost_slope or (slope_out == cost_slope and use_out < use_slope)
        ):
            which, cost_slope, use_slope = 2, slope_out, use_out
        if which == 0:
            width = chain[RIGHT, i] - chain[LEFT, i]
            i += 1
        elif which == 1:
            width = up
            up = -1.0
        else:
            width = down
            down = -1.0
        right = left + width
        begin, end = max(left, least), min(right, most)
        if end - begin > SLIVER_KWH or (length == begun and end - begin >= -SLIVER_KWH):
            if length > begun and found[RIGHT, begun] - found[LEFT, begun] <= SLIVER_KWH:
                length = begun  # the point it began with is the end of this piece
            end = max(begin, end)
            found[LEFT, length] = begin
            found[RIGHT, length] = end
            found[COST, length] = cost + (begin - left) * cost_slope
            found[COST_SLOPE, length] = cost_slope
            found[USE, length] = use + (begin - left) * use_slope
            found[USE_SLOPE, length] = use_slope
            length += 1
        left = right
        cost += width * cost_slope
        use += width * use_slope
    return length


def _envelope(chains: Floats, ends: Integers, count: int, same_eur: float) -> Floats:
    """Give the lower envelope of chains that lie end to end, neighbours merged pair by pair."""
    while count > 1:
        total = ends[count - 1]
        merged = np.empty((6, 5 * total + 5 * count))
        begin, length, pairs = 0, 0, 0
        for k in range(0, count, 2):
            middle = ends[k]
            if k + 1 < count:
                end = ends[k + 1]
                length = _lower(chains[:, begin:middle], chains[:, middle:end], same_eur, merged, length)
            else:
                end = middle
                merged[:, length : length + end - begin] = chains[:, begin:end]
                length += end - begin
            begin = end
            ends[pairs] = length
            pairs += 1
        chains, count = merged, pairs
    return chains[:, : ends[0]].copy()


def _lower(a: Floats, b: Floats, same_eur: float, merged: Floats, begun: int) -> int:
    """Append the lower envelope of two chains to `merged`; give the new length."""
    size = 2 * (a.shape[1] + b.shape[1]) + 2
    open_pieces = np.empty((6, 2 * size))
    count = _sweep(a, b, same_eur, open_pieces)
    # Where both chains' ends lie, a value may be better in a single point than on either side.
    length = begun
    i, j, k = 0, 0, 0  # ends of `a`, ends of `b`, open pieces
    while i < 2 * a.shape[1] or j < 2 * b.shape[1] or k < count:
        at_a = a[i & 1, i >> 1] if i < 2 * a.shape[1] else np.inf
        at_b = b[j & 1, j >> 1] if j < 2 * b.shape[1] else np.inf
        at = min(at_a, at_b)
        if k < count and open_pieces[LEFT, k] < at - SLIVER_KWH:
            length = _append(open_pieces, k, same_eur, merged, begun, length)
            k += 1
            continue
        if at == np.inf:
            length = _append(open_pieces, k, same_eur, merged, begun, length)
            k += 1
            continue
        owner, piece = (a, i >> 1) if at_a <= at_b else (b, j >> 1)
        if at_a <= at_b:
            i += 1
        else:
            j += 1
        cost = owner[COST, piece] + (at - owner[LEFT, piece]) * owner[COST_SLOPE, piece]
        use = owner[USE, piece] + (at - owner[LEFT, piece]) * owner[USE_SLOPE, piece]
        if not _is_met(merged, begun, length, at, cost, use, same_eur) and not _is_met(
            open_pieces, k, min(k + 1, count), at, cost, use, same_eur
        ):
            merged[LEFT, length] = at
            merged[RIGHT, length] = at
            merged[COST, length] = cost
            merged[COST_SLOPE, length] = 0.0
            merged[USE, length] = use
            merged[USE_SLOPE, length] = 0.0
            length += 1
    return length


def _is_met(chain: Floats, begin: int, end: int, at: float, cost: float, use: float, same_eur: float) -> bool:
    """Tell whether a chain is at least as good in a point, looking at its last three pieces."""
    for k in range(max(begin, end - 3), end):
        if chain[LEFT, k] - SLIVER_KWH <= at <= chain[RIGHT, k] + SLIVER_KWH:
            excess = chain[COST, k] + (at - chain[LEFT, k]) * chain[COST_SLOPE, k] - cost
            more = chain[USE, k] + (at - chain[LEFT, k]) * chain[USE_SLOPE, k] - use
            if excess < -same_eur or (excess <= same_eur and more <= SAME_KWH):
                return True
    return False


def _append(pieces: Floats, k: int, same_eur: float, merged: Floats, begun: int, length: int) -> int:
    """Append a piece, or lengthen the last one if this only carries it on."""
    if length > begun:
        last = length - 1
        width = pieces[LEFT, k] - merged[LEFT, last]
        carried = (
            merged[RIGHT, last] > merged[LEFT, last]
            and abs(merged[RIGHT, last] - pieces[LEFT, k]) <= 2 * SLIVER_KWH
            and merged[COST_SLOPE, last] == pieces[COST_SLOPE, k]
            and merged[USE_SLOPE, last] == pieces[USE_SLOPE, k]
            and abs(merged[COST, last] + width * merged[COST_SLOPE, last] - pieces[COST, k]) <= same_eur
            and abs(merged[USE, last] + width * merged[USE_SLOPE, last] - pieces[USE, k]) <= SAME_KWH
        )
        if carried:
            merged[RIGHT, last] = pieces[RIGHT, k]
            return length
    merged[:, length] = pieces[:, k]
    return length + 1


def _sweep(a: Floats, b: Floats, same_eur: float, found: Floats) -> int:
    """Write the lower of two chains between all their ends, points left out; give the number of pieces."""
    i, j, count = 0, 0, 0
    at = min(a[LEFT, 0], b[LEFT, 0])
    while True:
        while i < a.shape[1] and a[RIGHT, i] <= at + SLIVER_KWH:
            i += 1
        while j < b.shape[1] and b[RIGHT, j] <= at + SLIVER_KWH:
            j += 1
        if i == a.shape[1] and j == b.shape[1]:
            return count
        in_a = i < a.shape[1] and a[LEFT, i] <= at + SLIVER_KWH
        in_b = j < b.shape[1] and b[LEFT, j] <= at + SLIVER_KWH
        until = np.inf
        if i < a.shape[1]:
            until = a[RIGHT, i] if in_a else a[LEFT, i]
        if j < b.shape[1]:
            until = min(until, b[RIGHT, j] if in_b else b[LEFT, j])
        if in_a and in_b:
            first, split = _better(a, i, b, j, at, until, same_eur)
            if first:
                count = _cut(a, i, at, split, found, count)
                count = _cut(b, j, split, until, found, count)
            else:
                count = _cut(b, j, at, split, found, count)
                count = _cut(a, i, split, until, found, count)
        elif in_a:
            count = _cut(a, i, at, until, found, count)
        elif in_b:
            count = _cut(b, j, at, until, found, count)
        at = until


def _better(
    a: Floats, i: int, b: Floats, j: int, begin: float, end: float, same_eur: float
) -> tuple[bool, float]:
    """Compare two lines on `[begin, end]`: whether `a` is the better one first, and up to where."""
    before = a[COST, i] + (begin - a[LEFT, i]) * a[COST_SLOPE, i]
    before -= b[COST, j] + (begin - b[LEFT, j]) * b[COST_SLOPE, j]
    after = before + (end - begin) * (a[COST_SLOPE, i] - b[COST_SLOPE, j])
    same = same_eur
    if abs(before) <= same and abs(after) <= same:
        before = a[USE, i] + (begin - a[LEFT, i]) * a[USE_SLOPE, i]
        before -= b[USE, j] + (begin - b[LEFT, j]) * b[USE_SLOPE, j]
        after = before + (end - begin) * (a[USE_SLOPE, i] - b[USE_SLOPE, j])
        same = SAME_KWH
    if before <= same and after <= same:
        return True, end
    if before >= -same and after >= -same:
        return False, end
    return before < 0.0, begin + (end - begin) * before / (before - after)


def _cut(chain: Floats, k: int, begin: float, end: float, found: Floats, count: int) -> int:
    """Append the part of a piece between two energies; give the new number of pieces."""
    if end - begin <= SLIVER_KWH:
        return count
    found[LEFT, count] = begin
    found[RIGHT, count] = end
    found[COST, count] = chain[COST, k] + (begin - chain[LEFT, k]) * chain[COST_SLOPE, k]
    found[COST_SLOPE, count] = chain[COST_SLOPE, k]
    found[USE, count] = chain[USE, k] + (begin - chain[LEFT, k]) * chain[USE_SLOPE, k]
    found[USE_SLOPE, count] = chain[USE_SLOPE, k]
    return count + 1


def _directions(
    start: float,
    chains: Floats,
    ends: Integers,
    limits: Floats,
    use_in: float,
    use_out: float,
    same_eur: float,
) -> Integers:
    """Go through the slots, storing in each the most that is optimal, and note where it goes."""
    slots = limits.shape[1]
    directions = np.zeros(slots, np.int64)  # BOTH_WAYS
    held = start
    for t in range(slots):
        begin = ends[t + 2] if t + 2 <= slots else 0
        stored = _most_stored(held, chains[:, begin : ends[t + 1]], limits[:, t], use_in, use_out, same_eur)
        held += stored
        if limits[2, t] < limits[3, t] and limits[0, t] > 0.0 and limits[1, t] > 0.0:
            directions[t] = IDLE
            if stored > STILL_KWH:
                directions[t] = CHARGE_ONLY
            elif stored < -STILL_KWH:
                directions[t] = DISCHARGE_ONLY
    return directions


def _most_stored(
    held: float, chain: Floats, limit: Floats, use_in: float, use_out: float, same_eur: float
) -> float:
    """Find the greatest energy stored in a slot that is optimal.

    The optimum lies at an end of a piece, at an end of what the slot can do, or at rest.
    """
    best, least_cost, least_use = -np.inf, np.inf, np.inf
    for search in range(3):  # first the least cost, then the least throughput at it, then the greatest
        for k in range(chain.shape[1]):
            left = max(chain[LEFT, k], held - limit[1])
            right = min(chain[RIGHT, k], held + limit[0])
            if right < left - SLIVER_KWH:
                continue
            for place in range(3):
                after = left if place == 0 else right
                if place == 2:
                    if not left <= held <= right:
                        continue
                    after = held
                stored = after - held
                cost = chain[COST, k] + (after - chain[LEFT, k]) * chain[COST_SLOPE, k]
                cost += stored * (limit[2] if stored > 0.0 else limit[3]) / SLOPE_STEPS
                use = chain[USE, k] + (after - chain[LEFT, k]) * chain[USE_SLOPE, k]
                use += stored * use_in if stored > 0.0 else -stored * use_out
                if search == 0:
                    least_cost = min(least_cost, cost)
                elif cost <= least_cost + same_eur:
                    if search == 1:
                        least_use = min(least_use, use)
                    elif use <= least_use + SAME_KWH:
                        best = max(best, stored)
    return best
