"""Messages that name the field, the value and what would be right."""

from __future__ import annotations

import pytest

from voltagora.domain.errors import (
    NOTHING,
    InputError,
    InputErrors,
    MissingExtra,
    RunError,
    VoltAgoraError,
    one_of,
    shortened,
)


def test_a_message_says_field_value_and_what_would_be_right() -> None:
    error = InputError("stations[3].power_kw", -22, "above 0")
    assert str(error) == "stations[3].power_kw: got -22, must be above 0"
    assert str(InputError("days", NOTHING, "present")) == "days: got nothing, must be present"


def test_an_error_can_be_seen_from_further_out() -> None:
    assert InputError("power_kw", 0, "x").within("connectors[0]").field == "connectors[0].power_kw"
    assert InputError("[2]", 0, "x").within("stations").field == "stations[2]"
    assert InputError("", 0, "x").within("stations").field == "stations"


def test_several_errors_are_told_at_once() -> None:
    errors = InputErrors([InputError("a", 1, "b"), InputError("c", 2, "d")])
    assert str(errors).splitlines() == ["a: got 1, must be b", "c: got 2, must be d"]


def test_the_nearest_right_word_is_offered() -> None:
    assert one_of("nrgcion", ["flat", "nrgcoin"]) == "one of: flat, nrgcoin (did you mean 'nrgcoin'?)"
    assert one_of("xyz", ["flat", "nrgcoin"]) == "one of: flat, nrgcoin"


def test_a_huge_value_does_not_drown_the_message() -> None:
    assert len(shortened("x" * 10_000)) == 80
    assert shortened("short") == "'short'"


@pytest.mark.parametrize(
    "error", [InputError("a", 1, "b"), InputErrors([]), MissingExtra("notebook", "plots"), RunError("full")]
)
def test_every_error_on_purpose_is_of_one_tree(error: Exception) -> None:
    assert isinstance(error, VoltAgoraError)


def test_a_missing_extra_says_how_to_get_it() -> None:
    assert "pip install 'voltagora[notebook]'" in str(MissingExtra("notebook", "frames"))
