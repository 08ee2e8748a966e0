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

Cost: one envelope a slot, O(n log n) for n pieces. Where all slots move the same energy, n is at most
the distinct sums of whole moves within the battery (tens to hundreds): equal slots, over which branch
and bound explodes, fall together. With a different limit in every slot the problem contains subset
sum, and n may double with each slot whose prices are the same. So that nobody can stall a station, a
chain longer than `ALL_PIECES` over the slots (20,000 for 24, but 500 at least) is thinned: beyond
that, and only there, the directions are near the best instead of the best.
"""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.strategies.kernels.session_schedule import CHARGE_ONLY, DISCHARGE_ONLY, IDLE, SLOPE_STEPS

SLIVER_KWH = 1e-12  # a shorter piece is rounding
SAME_KWH = 1e-9  # throughputs closer than this are equal
STILL_KWH = 1e-10  # a slot that stores less than this stands still
ALL_PIECES, LEAST_PIECES = 480_000, 500  # of all slots together, and of one slot, before chains are thinned

# A chain has a row for each piece, sorted; cost (EUR) and use (kWh of throughput) are at its left end.
LEFT, RIGHT, COST, COST_SLOPE, USE, USE_SLOPE = 0, 1, 2, 3, 4, 5

Slot = tuple[float, float, float, float, float, float]
"""kWh that can be stored and taken out, EUR/kWh of both, throughput per kWh stored and taken out."""

DIRECTION_TYPES = "(float64, float64, float64, float64, float64[:, ::1], float64[:, ::1])"


def choose_directions(
    start: float,
    target: float,
    charge_efficiency: float,
    discharge_efficiency: float,
    limits: Floats,
    bounds: Floats,
) -> Integers:
    """Choose a direction for each slot.

    Args:
        start: energy held at arrival, kWh.
        target: energy held at departure, kWh; it can be reached.
        charge_efficiency: 0 to 1.
        discharge_efficiency: 0 to 1.
        limits: as `slot_limits` fills it, shape (4, slots).
        bounds: as `reachable` gives them, shape (2, slots + 1).

    Returns:
        `CHARGE_ONLY`, `DISCHARGE_ONLY` or `IDLE` where the slot needs a choice, else `BOTH_WAYS`;
        shape (slots,).
    """
    slots = limits.shape[1]
    uses = (1.0 / charge_efficiency, discharge_efficiency)
    same_eur = _rounding_of_costs(limits)
    most_pieces = max(LEAST_PIECES, ALL_PIECES // slots)
    chains = np.zeros((64, 6))
    chains[0, LEFT] = target
    chains[0, RIGHT] = target
    ends = np.ones(slots + 1, np.int64)  # W_t is chains[ends[t + 1]:ends[t]]: the last slot comes first
    begin, end = 0, 1
    for t in range(slots - 1, 0, -1):
        slot = _slot(limits, t, uses)
        step = _stepped_back(chains[begin:end], slot, bounds[0, t], bounds[1, t], same_eur)
        step = _thinned(step, most_pieces)
        begin, end = end, end + len(step)
        if end > len(chains):
            longer = np.zeros((2 * end, 6))
            _copy(chains, 0, begin, longer, 0)
            chains = longer
        _copy(step, 0, len(step), chains, begin)
        ends[t] = end
    return _directions(start, chains, ends, limits, uses, same_eur)


def _rounding_of_costs(limits: Floats) -> float:
    """Bound what rounding does to a sum over all slots, EUR: costs that lie closer are equal."""
    turnover, steepest = 0.0, 0.0
    for t in range(limits.shape[1]):
        turnover += limits[0, t] + limits[1, t]
        steepest = max(steepest, abs(limits[2, t]), abs(limits[3, t]))
    return max(1e-12, 2e-15 * steepest / SLOPE_STEPS * turnover)


def _slot(limits: Floats, t: int, uses: tuple[float, float]) -> Slot:
    slope_in, slope_out = limits[2, t] / SLOPE_STEPS, limits[3, t] / SLOPE_STEPS
    return limits[0, t], limits[1, t], slope_in, slope_out, uses[0], uses[1]


def _copy(source: Floats, begin: int, end: int, into: Floats, at: int) -> None:
    for k in range(begin, end):
        for field in range(6):
            into[at + k - begin, field] = source[k, field]


def _thinned(chain: Floats, most_pieces: int) -> Floats:
    """Join neighbouring pieces by their chords, in pairs, until few enough are left."""
    while len(chain) > most_pieces:
        fewer = np.empty(((len(chain) + 1) // 2, 6))
        for k in range(len(fewer)):
            i, j = 2 * k, min(2 * k + 1, len(chain) - 1)
            left, right = chain[i, LEFT], chain[j, RIGHT]
            cost_slope, use_slope = 0.0, 0.0
            if right - left > SLIVER_KWH:
                cost_slope = (_cost(chain, j, right) - chain[i, COST]) / (right - left)
                use_slope = (_use(chain, j, right) - chain[i, USE]) / (right - left)
            _put(fewer, k, left, right, (chain[i, COST], chain[i, USE]), (cost_slope, use_slope))
        chain = fewer
    return chain


def _stepped_back(chain: Floats, slot: Slot, least: float, most: float, same_eur: float) -> Floats:
    """Give W_t from W_{t+1}: the envelope of its convex runs, each convolved with each half of the slot."""
    up, down, slope_in, slope_out, _, _ = slot
    exclusive = slope_in < slope_out and up > 0.0 and down > 0.0
    found = np.empty((6 * len(chain), 6))
    ends = np.empty(2 * len(chain), np.int64)
    count, length, first = 0, 0, 0
    while first < len(chain):
        last = first + 1
        while last < len(chain) and _goes_on(chain, last, same_eur):
            last += 1
        for half in range(2 if exclusive else 1):
            in_up = 0.0 if exclusive and half == 1 else up
            in_down = 0.0 if exclusive and half == 0 else down
            longer = _convolve(chain[first:last], slot, in_up, in_down, least, most, found, length)
            if longer > length:
                ends[count] = longer
                count += 1
                length = longer
        first = last
    return _envelope(found, ends, count, same_eur)


def _goes_on(chain: Floats, i: int, same_eur: float) -> bool:
    """Tell whether piece i continues the convex run that the piece before it belongs to."""
    if not _meets(chain, i - 1, chain, i, same_eur):
        return False
    if chain[i - 1, COST_SLOPE] != chain[i, COST_SLOPE]:
        return bool(chain[i - 1, COST_SLOPE] < chain[i, COST_SLOPE])
    return bool(chain[i - 1, USE_SLOPE] <= chain[i, USE_SLOPE])


def _meets(a: Floats, i: int, b: Floats, j: int, same_eur: float) -> bool:
    """Tell whether a piece ends, in energy and both values, where another begins."""
    at = b[j, LEFT]
    return bool(
        abs(a[i, RIGHT] - at) <= 2 * SLIVER_KWH
        and abs(_cost(a, i, at) - b[j, COST]) <= same_eur
        and abs(_use(a, i, at) - b[j, USE]) <= SAME_KWH
    )


def _cost(chain: Floats, k: int, at: float) -> float:
    return float(chain[k, COST] + (at - chain[k, LEFT]) * chain[k, COST_SLOPE])


def _use(chain: Floats, k: int, at: float) -> float:
    return float(chain[k, USE] + (at - chain[k, LEFT]) * chain[k, USE_SLOPE])


def _convolve(
    run: Floats, slot: Slot, up: float, down: float, least: float, most: float, found: Floats, length: int
) -> int:
    """Append to `found` a convex run with the slot's segments sorted in, clipped; give the new length.

    Seen from the energy before the slot, charging less is a segment of slope −buy, discharging
    more one of slope −sell.
    """
    begun = length
    left = run[0, LEFT] - up
    cost = run[0, COST] + slot[2] * up
    use = run[0, USE] + slot[4] * up
    i = 0
    while i < len(run) or up >= 0.0 or down >= 0.0:
        width, cost_slope, use_slope, which = np.inf, np.inf, np.inf, 0
        if i < len(run):
            width, cost_slope, use_slope = run[i, RIGHT] - run[i, LEFT], run[i, COST_SLOPE], run[i, USE_SLOPE]
        if up >= 0.0 and (-slot[2] < cost_slope or (-slot[2] == cost_slope and -slot[4] < use_slope)):
            width, cost_slope, use_slope, which = up, -slot[2], -slot[4], 1
        if down >= 0.0 and (-slot[3] < cost_slope or (-slot[3] == cost_slope and slot[5] < use_slope)):
            width, cost_slope, use_slope, which = down, -slot[3], slot[5], 2
        if which == 0:
            i += 1
        elif which == 1:
            up = -1.0
        else:
            down = -1.0
        begin, end = max(left, least), min(left + width, most)
        if end - begin > SLIVER_KWH or (length == begun and end - begin >= -SLIVER_KWH):
            if length > begun and found[begun, RIGHT] - found[begun, LEFT] <= SLIVER_KWH:
                length = begun  # the point it began with is the end of this piece
            at_begin = cost + (begin - left) * cost_slope, use + (begin - left) * use_slope
            length = _put(found, length, begin, max(begin, end), at_begin, (cost_slope, use_slope))
        left += width
        cost += width * cost_slope
        use += width * use_slope
    return length


def _envelope(chains: Floats, ends: Integers, count: int, same_eur: float) -> Floats:
    """Give the lower envelope of chains that lie end to end, neighbours merged pair by pair."""
    while count > 1:
        merged = np.empty((5 * (ends[count - 1] + count), 6))
        begin, length, pairs = 0, 0, 0
        for k in range(0, count, 2):
            middle = ends[k]
            end = ends[k + 1] if k + 1 < count else middle
            if middle < end:
                length = _lower(chains[begin:middle], chains[middle:end], same_eur, merged, length)
            else:
                _copy(chains, begin, end, merged, length)
                length += end - begin
            begin = end
            ends[pairs] = length
            pairs += 1
        chains, count = merged, pairs
    return chains[: ends[0]]


def _lower(a: Floats, b: Floats, same_eur: float, merged: Floats, begun: int) -> int:
    """Append the lower envelope of two chains to `merged`; give the new length."""
    pieces = np.empty((4 * (len(a) + len(b)) + 4, 6))
    count = _sweep(a, b, same_eur, pieces)
    # Where a piece of either chain ends, that point alone may be better than both its sides.
    length = begun
    i, j, k = 0, 0, 0  # ends of `a`, ends of `b`, pieces
    while i < 2 * len(a) or j < 2 * len(b) or k < count:
        at_a = a[i >> 1, i & 1] if i < 2 * len(a) else np.inf
        at_b = b[j >> 1, j & 1] if j < 2 * len(b) else np.inf
        at = min(at_a, at_b)
        if k < count and (at == np.inf or pieces[k, LEFT] < at - SLIVER_KWH):
            length = _append(pieces, k, same_eur, merged, begun, length)
            k += 1
            continue
        if at_a <= at_b:
            cost, use = _cost(a, i >> 1, at), _use(a, i >> 1, at)
            i += 1
        else:
            cost, use = _cost(b, j >> 1, at), _use(b, j >> 1, at)
            j += 1
        if not _is_met(merged, max(begun, length - 3), length, at, cost, use, same_eur) and not _is_met(
            pieces, k, min(k + 1, count), at, cost, use, same_eur
        ):
            length = _put(merged, length, at, at, (cost, use), (0.0, 0.0))
    return length


def _is_met(chain: Floats, begin: int, end: int, at: float, cost: float, use: float, same_eur: float) -> bool:
    """Tell whether some piece is at least as good in a point."""
    for k in range(begin, end):
        if chain[k, LEFT] - SLIVER_KWH <= at <= chain[k, RIGHT] + SLIVER_KWH:
            excess = _cost(chain, k, at) - cost
            if excess < -same_eur or (excess <= same_eur and _use(chain, k, at) - use <= SAME_KWH):
                return True
    return False


def _append(pieces: Floats, k: int, same_eur: float, merged: Floats, begun: int, length: int) -> int:
    """Append a piece, or lengthen the last one if this only carries it on."""
    last = length - 1
    if (
        length > begun
        and merged[last, RIGHT] > merged[last, LEFT]
        and merged[last, COST_SLOPE] == pieces[k, COST_SLOPE]
        and merged[last, USE_SLOPE] == pieces[k, USE_SLOPE]
        and _meets(merged, last, pieces, k, same_eur)
    ):
        merged[last, RIGHT] = pieces[k, RIGHT]
        return length
    _copy(pieces, k, k + 1, merged, length)
    return length + 1


def _sweep(a: Floats, b: Floats, same_eur: float, found: Floats) -> int:
    """Write the lower of two chains between all their ends, points left out; give the number of pieces."""
    i, j, count = 0, 0, 0
    at = min(a[0, LEFT], b[0, LEFT])
    while True:
        while i < len(a) and a[i, RIGHT] <= at + SLIVER_KWH:
            i += 1
        while j < len(b) and b[j, RIGHT] <= at + SLIVER_KWH:
            j += 1
        if i == len(a) and j == len(b):
            return count
        in_a = i < len(a) and a[i, LEFT] <= at + SLIVER_KWH
        in_b = j < len(b) and b[j, LEFT] <= at + SLIVER_KWH
        until = np.inf
        if i < len(a):
            until = a[i, RIGHT] if in_a else a[i, LEFT]
        if j < len(b):
            until = min(until, b[j, RIGHT] if in_b else b[j, LEFT])
        split = until if in_a else at  # `a` is the better one up to here, `b` from here on
        if in_a and in_b:
            a_first, split = _better(a, i, b, j, at, until, same_eur)
            if not a_first:
                count = _cut(b, j, at, split, found, count)
                count = _cut(a, i, split, until, found, count)
                at = until
                continue
        if in_a:
            count = _cut(a, i, at, split, found, count)
        if in_b:
            count = _cut(b, j, split, until, found, count)
        at = until


def _better(
    a: Floats, i: int, b: Floats, j: int, begin: float, end: float, same_eur: float
) -> tuple[bool, float]:
    """Compare two lines on `[begin, end]`: whether `a` is the better one first, and up to where."""
    before = _cost(a, i, begin) - _cost(b, j, begin)
    after = _cost(a, i, end) - _cost(b, j, end)
    same = same_eur
    if abs(before) <= same and abs(after) <= same:
        before = _use(a, i, begin) - _use(b, j, begin)
        after = _use(a, i, end) - _use(b, j, end)
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
    values = _cost(chain, k, begin), _use(chain, k, begin)
    return _put(found, count, begin, end, values, (chain[k, COST_SLOPE], chain[k, USE_SLOPE]))


def _put(
    chain: Floats, k: int, left: float, right: float, values: tuple[float, float], slopes: tuple[float, float]
) -> int:
    """Write piece k: (cost, use) at its left end, and their slopes; give the number of the next."""
    chain[k, LEFT], chain[k, RIGHT] = left, right
    chain[k, COST], chain[k, USE] = values
    chain[k, COST_SLOPE], chain[k, USE_SLOPE] = slopes
    return k + 1


def _directions(
    start: float, chains: Floats, ends: Integers, limits: Floats, uses: tuple[float, float], same_eur: float
) -> Integers:
    """Go through the slots, storing in each the most that is optimal, and note where it goes."""
    slots = limits.shape[1]
    directions = np.zeros(slots, np.int64)  # BOTH_WAYS
    held = start
    for t in range(slots):
        begin = ends[t + 2] if t + 2 <= slots else 0
        slot = _slot(limits, t, uses)
        stored = _most_stored(held, chains[begin : ends[t + 1]], slot, same_eur)
        held += stored
        if slot[2] < slot[3] and slot[0] > 0.0 and slot[1] > 0.0:
            directions[t] = IDLE
            if stored > STILL_KWH:
                directions[t] = CHARGE_ONLY
            elif stored < -STILL_KWH:
                directions[t] = DISCHARGE_ONLY
    return directions


def _most_stored(held: float, chain: Floats, slot: Slot, same_eur: float) -> float:
    """Find the greatest optimum: at an end of a piece, at an end of what the slot can do, or at rest."""
    best, least_cost, least_use = -np.inf, np.inf, np.inf
    for search in range(3):  # the least cost, then the least throughput at it, then the greatest
        for k in range(len(chain)):
            left, right = max(chain[k, LEFT], held - slot[1]), min(chain[k, RIGHT], held + slot[0])
            if right < left - SLIVER_KWH:
                continue
            for place in range(3):
                after = left if place == 0 else right if place == 1 else min(max(held, left), right)
                stored = after - held
                cost = _cost(chain, k, after) + stored * (slot[2] if stored > 0.0 else slot[3])
                use = _use(chain, k, after) + (stored * slot[4] if stored > 0.0 else -stored * slot[5])
                if search == 0:
                    least_cost = min(least_cost, cost)
                elif search == 1 and cost <= least_cost + same_eur:
                    least_use = min(least_use, use)
                elif cost <= least_cost + same_eur and use <= least_use + SAME_KWH:
                    best = max(best, stored)
    return best
