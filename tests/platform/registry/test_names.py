"""Which names may be registered, and when two filters overlap: against a matcher by brute force."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.platform.registry import names
from voltagora.platform.registry.refusals import Refusal

LETTERS = ("a", "b", "$s")
DEPTH = 4
ALL_TOPICS = [
    "/".join(levels) for depth in range(1, DEPTH + 2) for levels in itertools.product(LETTERS, repeat=depth)
]


@st.composite
def filters(draw: st.DrawFn) -> str:
    levels = draw(st.lists(st.sampled_from([*LETTERS, "+"]), min_size=0, max_size=DEPTH))
    if not levels or draw(st.booleans()):
        levels.append("#")
    return "/".join(levels)


def matched(name: str, wanted: str) -> bool:
    """The standard's words, level by level and recursively, with nothing of the code under test."""
    if name.startswith("$") and wanted[0] in "+#":
        return False

    def rest(levels: list[str], pattern: list[str]) -> bool:
        if pattern == ["#"]:
            return True
        if not levels or not pattern:
            return not levels and not pattern
        return pattern[0] in ("+", levels[0]) and rest(levels[1:], pattern[1:])

    return rest(name.split("/"), wanted.split("/"))


MATCHES: dict[str, frozenset[str]] = {}


def all_matched(wanted: str) -> frozenset[str]:
    if wanted not in MATCHES:
        MATCHES[wanted] = frozenset(name for name in ALL_TOPICS if matched(name, wanted))
    return MATCHES[wanted]


@given(filters(), filters())
def test_filters_overlap_when_some_topic_matches_both(one: str, other: str) -> None:
    expected = bool(all_matched(one) & all_matched(other))
    assert names.overlap(one, other) is expected
    assert names.overlap(other, one) is expected


@given(filters(), filters())
def test_the_intersection_of_filters_matches_what_both_match(one: str, other: str) -> None:
    both = names.intersection(one, other)
    assert (all_matched(both) if both else frozenset()) == all_matched(one) & all_matched(other)


@pytest.mark.parametrize("name", ["a", "_a", "alice", "A.b-c_d", "a1", "9", "x" * 80])
def test_usernames_that_are_some(name: str) -> None:
    names.check_username(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "_", "__", ".a", "-a", "a.", "a-", "a..b", "a_-b", "a b", "a/b", "a+1", "a#", "é"),
        *("a\n", "a\0", "x" * 81, "../x", "а"),  # the last one is Cyrillic
    ],
)
def test_usernames_that_are_none(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        names.check_username(name)
    assert refused.value.status == 400
    assert refused.value.message == f"Username {name} is not valid."


@pytest.mark.parametrize("name", ["admin", "Admin", "BROKER"])
def test_names_that_belong_to_the_platform(name: str) -> None:
    with pytest.raises(Refusal, match=f"Name {name} is not permitted."):
        names.check_username(name, ("admin", "broker"))


@pytest.mark.parametrize(
    "name", ["a", "a/b", "/a", "a//b", "a/+/b", "a/#", "a/+", "a/+/#", "EV/1/x y", "a.b"]
)
def test_topics_that_are_some(name: str) -> None:
    names.check_topic_name(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("$SYS/x", "You cannot register topics starting with the character '$': '$SYS/x'"),
        ("#", "Illegal placement of wildcard character '#' in given topic '#'"),
        ("a/#/b", "Illegal placement of wildcard character '#' in given topic 'a/#/b'"),
        ("a#", "Illegal placement of wildcard character '#' in given topic 'a#'"),
        ("a/b+", "1- Illegal placement of wildcard character '+' in given topic 'a/b+'"),
        ("+", "1- Illegal placement of wildcard character '+' in given topic '+'"),
        ("+/#", "1- Illegal placement of wildcard character '+' in given topic '+/#'"),
        ("a\0b", "Not a valid topic name: 'a\0b'"),
        ("a\ud800", "Not a valid topic name: 'a\ud800'"),
        ("/" * 200, "Not a valid topic name: '" + "/" * 200 + "'"),
        ("x" * 256, "Not a valid topic name: '" + "x" * 256 + "'"),
    ],
)
def test_topics_that_are_none(name: str, words: str) -> None:
    with pytest.raises(Refusal) as refused:
        names.check_topic_name(name)
    assert (refused.value.status, refused.value.message) == (400, words)


@pytest.mark.parametrize(
    ("service", "folder"),
    [
        ("My Svc (1)", "My_Svc_1"),
        ("a/../b", "a..b"),
        ("Τιμή 1", "Τιμή_1"),
        (" x ", "x"),
        ("a;rm -rf", "arm_-rf"),
    ],
)
def test_names_on_disk(service: str, folder: str) -> None:
    assert names.folder_name(service) == folder


@pytest.mark.parametrize("service", ["..", ".", "/", "***", "-", " "])
def test_services_that_leave_no_name_on_disk(service: str) -> None:
    with pytest.raises(Refusal, match="Not a valid name"):
        names.folder_name(service)


@pytest.mark.parametrize("email", ["a@b.org", "a.b+c@x.example.org", "admin@localhost"])
def test_addresses_that_are_some(email: str) -> None:
    names.check_email(email)


@pytest.mark.parametrize(
    "email", ["", "a", "a@", "@b.org", "a@b", "a b@c.org", "a@b.org\nBcc: x@y.org", "a@b@c.org"]
)
def test_addresses_that_are_none(email: str) -> None:
    with pytest.raises(Refusal, match="is not valid"):
        names.check_email(email)
