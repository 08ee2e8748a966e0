"""Half-open intervals, in both orders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.interval import Interval

instants = st.integers(0, 40)
intervals = st.tuples(instants, st.integers(1, 20)).map(lambda pair: Interval(pair[0], pair[0] + pair[1]))


@given(intervals, intervals)
def test_two_intervals_overlap_when_they_share_a_second(a: Interval, b: Interval) -> None:
    shared = bool(set(range(a.start, a.end)) & set(range(b.start, b.end)))
    assert a.overlaps(b) == shared
    assert b.overlaps(a) == shared


def test_touching_ends_do_not_overlap() -> None:
    assert not Interval(0, 10).overlaps(Interval(10, 20))
    assert not Interval(10, 20).overlaps(Interval(0, 10))
