"""Mean and spread of the like days: what a producer or consumer says of its confidence."""

from __future__ import annotations

import numpy as np

from voltagora.domain.units import ENERGY_DECIMALS, Floats, round_array
from voltagora.strategies.forecast.decision import Forecast
from voltagora.strategies.forecast.like_days import LikeDays


def with_confidence(expected: Floats, like: LikeDays) -> Forecast:
    """Add the mean and spread of the same weekday and clock time to what is expected.

    Args:
        expected: kWh, shape (slots,).
        like: the days before.
    """
    mean, std, count = mean_and_std(like.values_of(like.same_weekdays()))
    unknown = count == 0
    return Forecast(
        expected=round_array(expected, ENERGY_DECIMALS),
        mean=round_array(np.where(unknown, expected, mean), ENERGY_DECIMALS),
        std=round_array(std, ENERGY_DECIMALS),
    )


def mean_and_std(values: Floats) -> tuple[Floats, Floats, Floats]:
    """Take the mean and sample standard deviation of what is known of each slot.

    Args:
        values: kWh, shape (days, slots), nan where unknown.

    Returns:
        mean (nan if n = 0), std (n − 1 in the denominator; 0 if n is 0 or 1) and n,
        each of shape (slots,).
    """
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=0), count, out=mean, where=count > 0)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    std = np.sqrt(squares / np.maximum(count - 1, 1))
    return mean, std, count.astype(np.float64)
