"""A tree of filters answers as asking each filter would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voltagora.hub.granted import GrantedFilters
from voltagora.hub.topics import covers, parse_filter

LEVEL = st.sampled_from(["a", "b", "", "$SYS", "+"])
FILTER = st.tuples(st.lists(LEVEL, min_size=1, max_size=4), st.booleans()).map(
    lambda drawn: "/".join([*drawn[0], "#"] if drawn[1] else drawn[0])
)
WANTED = st.one_of(FILTER, st.just("#")).filter(lambda text: text != "")


@given(st.lists(FILTER.filter(lambda text: text != ""), max_size=6), WANTED)
def test_a_tree_covers_what_one_of_its_filters_covers(filters: list[str], wanted: str) -> None:
    levels = parse_filter(wanted).levels
    one_by_one = any(covers(parse_filter(each).levels, levels) for each in filters)

    assert GrantedFilters(filters).cover(levels) == one_by_one


def test_a_filter_for_everything_covers_everything_but_the_brokers_own() -> None:
    everything = GrantedFilters(["#"])

    assert everything.cover(("a", "b"))
    assert everything.cover(("#",))
    assert not everything.cover(("$SYS", "uptime"))
