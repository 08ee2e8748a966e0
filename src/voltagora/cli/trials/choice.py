"""`try choice`: {recommendations, preferences, battery, draws?, seed?} -> {order: [ids]}."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from voltagora.cli.trials.slots import MAX_INPUT_BYTES
from voltagora.domain.errors import InputError, Verbatim
from voltagora.domain.station import Recommendation
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.protocols.codec import decode
from voltagora.strategies.choice.decision import ChoiceStrategy


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a vehicle was offered; chance comes from `draws`, or from a generator seeded with `seed`."""

    recommendations: tuple[Recommendation, ...]
    preferences: Preferences
    battery: Battery
    draws: tuple[Annotated[float, Meta(ge=0, lt=1)], ...] | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0)] = 0


def decide(strategy: ChoiceStrategy, payload: bytes) -> dict[str, Any]:
    """Order the offers of a JSON document, the one to try first in front."""
    question = decode(payload, Question, MAX_INPUT_BYTES)
    offers = question.recommendations
    draws = question.draws
    if draws is UNSET:
        draws = tuple(np.random.default_rng(question.seed).random(len(offers)).tolist())
    elif len(draws) != len(offers):
        raise InputError(
            "draws", Verbatim(f"{len(draws)} draws"), f"one for each of the {len(offers)} recommendations"
        )
    order = strategy.order(offers, question.preferences, question.battery, draws)
    return {"order": [offers[place].id for place in order]}
