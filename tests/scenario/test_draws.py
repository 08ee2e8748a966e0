"""Random numbers are even, independent, and depend on their place alone."""

from __future__ import annotations

import numpy as np
import pytest

from voltagora.scenario.draws import Draws

ROWS, COLUMNS = np.arange(400)[:, None], np.arange(500)[None, :]


def test_numbers_are_even_and_unrelated_along_rows_columns_and_purposes() -> None:
    table = Draws(1, "test").uniform(ROWS, COLUMNS)
    other = Draws(1, "other").uniform(ROWS, COLUMNS)

    assert 0 <= table.min() < 1e-4
    assert 1 - 1e-4 < table.max() < 1
    counts = np.histogram(table, bins=100, range=(0, 1))[0]
    # Chi-square with 99 degrees of freedom: beyond 150 once in a thousand.
    assert ((counts - 2000) ** 2 / 2000).sum() < 150
    for one, two in ((table[1:], table[:-1]), (table[:, 1:], table[:, :-1]), (table, other)):
        assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.01


def test_a_number_depends_on_its_place_alone() -> None:
    whole = Draws(7, "a", "b").uniform(ROWS, COLUMNS)

    assert Draws(7, "a", "b").uniform(13, 21) == whole[13, 21]
    assert Draws(7, "ab").uniform(13, 21) != whole[13, 21]
    assert Draws(8, "a", "b").uniform(13, 21) != whole[13, 21]


def test_the_numbers_are_the_same_for_ever() -> None:
    """Results of the past must stay reproducible: a change of these is a change of all results."""
    assert Draws(1, "golden").uniform(2, [0, 1, 2]).tolist() == GOLDEN


def test_the_bell_has_mean_0_and_deviation_1() -> None:
    values = Draws(3, "bell").normal(ROWS, COLUMNS)

    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)


def test_whole_numbers_reach_both_ends() -> None:
    values = Draws(3, "dice").whole(1, 6, ROWS, COLUMNS)

    assert np.bincount(values.ravel())[1:].min() > 32_000
    assert set(np.unique(values).tolist()) == {1, 2, 3, 4, 5, 6}


GOLDEN = [0.05692067261934286, 0.32093975481586023, 0.582597855951114]
