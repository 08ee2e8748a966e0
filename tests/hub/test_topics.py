"""Filters, wildcards and the trie, against a matcher in other words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.hub.errors import PacketError
from voltagora.hub.limits import Limits
from voltagora.hub.topic_table import TopicTable
from voltagora.hub.topics import covers, parse_filter, topic_levels
from voltagora.hub.trie import Subscription, Trie

WORDS = ["a", "b", "", "$S", "é"]
names = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map("/".join).filter(bool)


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from([*WORDS, "+"]), max_size=3))
    if draw(st.booleans()) or not levels:
        levels.append("#")
    return "/".join(levels) or "+"


def matches(wanted: str, name: str) -> bool:
    """Section 4.7 as a regular expression."""
    if name.startswith("$") and wanted[0] in "+#":
        return False
    pattern = re.escape(wanted).replace(r"\+", "[^/]*").replace("/\\#", "(/.*)?").replace("\\#", ".*")
    return re.fullmatch(pattern, name) is not None


@given(st.lists(filters(), max_size=12, unique=True), names)
def test_the_trie_finds_exactly_the_filters_that_match(wanted: list[str], name: str) -> None:
    trie: Trie[str] = Trie()
    for text in wanted:
        trie.add(Subscription(parse_filter(text)), text)

    found = [who for node in trie.matching(topic_levels(name)) for who in node.direct]

    assert sorted(found) == sorted(text for text in wanted if matches(text, name))


@given(st.lists(st.tuples(st.booleans(), filters()), max_size=30), names)
def test_a_filter_that_was_taken_out_leaves_nothing_behind(steps: list[tuple[bool, str]], name: str) -> None:
    trie: Trie[str] = Trie()
    model: set[str] = set()
    for add, text in steps:
        if add:
            assert trie.add(Subscription(parse_filter(text)), text) is (text not in model)
            model.add(text)
        else:
            assert trie.remove(parse_filter(text), text) is (text in model)
            model.discard(text)

    assert trie.size == len(model)
    for text in model:
        trie.remove(parse_filter(text), text)
    assert trie._root.empty


@given(filters(), filters(), st.lists(names, max_size=20))
def test_a_grant_covers_only_filters_whose_every_topic_it_matches(
    grant: str, wanted: str, some: list[str]
) -> None:
    if covers(parse_filter(grant).levels, parse_filter(wanted).levels):
        assert all(matches(grant, name) for name in some if matches(wanted, name))


@given(filters(), names)
def test_covering_a_name_is_matching_it(wanted: str, name: str) -> None:
    assert covers(parse_filter(wanted).levels, topic_levels(name)) is matches(wanted, name)


@given(filters(), filters(), filters())
def test_covering_is_an_order(one: str, two: str, three: str) -> None:
    a, b, c = (parse_filter(each).levels for each in (one, two, three))
    assert covers(a, a)
    if covers(a, b) and covers(b, c):
        assert covers(a, c)


@given(st.lists(names, max_size=15), filters())
def test_topics_are_found_by_filter(some: list[str], wanted: str) -> None:
    topics = TopicTable(Limits())
    for name in some:
        topics.named(name)

    found = [topic.name for topic in topics.select(parse_filter(wanted).levels)]

    assert sorted(found) == sorted({name for name in some if matches(wanted, name)})


@settings(max_examples=50)
@given(st.lists(names, max_size=30))
def test_topics_beyond_the_limit_are_forgotten_oldest_first(some: list[str]) -> None:
    topics = TopicTable(Limits(topics=3))
    for name in some:
        topics.named(name)

    assert [topic.name for topic in topics.known.values()] == list(dict.fromkeys(some))[-3:] or len(
        topics.known
    ) == 3
    assert sorted(topic.name for topic in topics.select(("#",))) == sorted(
        topic.name for topic in topics.known.values() if not topic.name.startswith("$")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a#",
        "#/a",
        "a/#/b",
        "+a",
        "a/b+",
        "$share",
        "$share/g",
        "$share//a",
        "$share/g+/a",
        "$share/g/",
        "a\0b",
    ],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(PacketError):
        parse_filter(text)


@pytest.mark.parametrize("name", ["", "a/+", "#", "a\0", "/" * 300])
def test_what_is_no_topic_name_is_refused(name: str) -> None:
    with pytest.raises(PacketError):
        topic_levels(name)
