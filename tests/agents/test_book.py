"""Reservations of one connector: checked against every pair, one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.agents.book import Book

STAYS = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(lambda stay: (stay[0], stay[0] + stay[1]))


def share_an_instant(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return bool(set(range(*a)) & set(range(*b)))


@given(st.lists(STAYS, max_size=30), STAYS)
def test_what_is_free_is_what_shares_no_instant_with_any_reservation(
    stays: list[tuple[int, int]], asked: tuple[int, int]
) -> None:
    book, held = Book(), []
    for place, stay in enumerate(stays):
        if any(share_an_instant(stay, other) for other in held):
            with pytest.raises(ValueError, match="overlaps"):
                book.add(*stay, f"r{place}")
        else:
            book.add(*stay, f"r{place}")
            held.append(stay)
    assert book.is_free(*asked) == (not any(share_an_instant(asked, other) for other in held))
    assert [(start, end) for start, end, _ in book.entries()] == sorted(held)


@given(STAYS, STAYS)
def test_who_comes_first_does_not_matter_to_what_overlaps(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = Book(), Book()
    first.add(*a, "a")
    second.add(*b, "b")
    assert first.is_free(*b) == second.is_free(*a) == (not share_an_instant(a, b))


@given(st.lists(st.tuples(st.sampled_from("arf"), STAYS), max_size=40), st.integers(0, 50))
def test_a_book_forgets_and_strikes_out_what_it_is_told_to_and_nothing_else(
    steps: list[tuple[str, tuple[int, int]]], moment: int
) -> None:
    book = Book()
    held: dict[tuple[int, int], str] = {}
    for place, (what, stay) in enumerate(steps):
        if what == "a" and book.is_free(*stay):
            book.add(*stay, f"r{place}")
            held[stay] = f"r{place}"
        elif what == "r":
            book.remove(stay[0], held.get(stay, "nobody"))
            held.pop(stay, None)
        elif what == "f":
            book.forget(stay[0])
            held = {kept: name for kept, name in held.items() if kept[1] > stay[0]}
        assert book.entries() == sorted((*kept, name) for kept, name in held.items())
    later = [start for start, _ in held if start >= moment]
    assert book.next_start(moment) == min(later, default=None)


def test_stays_that_touch_do_not_overlap() -> None:
    book = Book()
    book.add(10, 20, "a")
    assert book.is_free(20, 30)
    assert book.is_free(0, 10)
    assert not book.is_free(19, 21)
