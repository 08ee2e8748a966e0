"""Strategies are found by name, and built from parameters that are checked."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from voltagora.domain.errors import InputError, InputErrors
from voltagora.strategies import registry
from voltagora.strategies.parameters import describe_parameters, read_parameters
from voltagora.strategies.pricing.adaptive import Adaptive
from voltagora.strategies.pricing.flat import Flat

EVERY = [(kind, name) for kind in registry.kinds() for name in registry.names(kind)]

PROMISED = {
    "pricing": ["nrgcoin", "adaptive", "flat", "time_of_use", "market"],
    "scheduling": ["first_slot", "lowest_price", "v2g", "station"],
    "recommendation": ["nearest", "cheapest", "balanced"],
    "choice": ["first", "cheapest", "utility", "random"],
    "negotiation": ["utility"],
    "forecast": ["persistence", "weekday_hour_mean", "perfect"],
}


def test_every_strategy_that_the_domain_names_exists() -> None:
    assert {kind: registry.names(kind) for kind in registry.kinds()} == PROMISED


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_strategy_builds_without_parameters_is_frozen_and_says_what_it_does(kind, name) -> None:
    strategy = registry.build(kind, name)
    described = registry.describe(kind, name)

    assert described.summary.endswith(".")
    assert described.source
    assert all(parameter.description for parameter in described.parameters)
    assert [parameter.name for parameter in described.parameters] == list(strategy.__struct_fields__)
    assert all(getattr(strategy, each.name) == each.default for each in described.parameters)
    assert strategy == registry.build(kind, name)
    with pytest.raises(AttributeError):
        strategy.anything = 1


def test_parameters_are_set_and_the_others_keep_their_defaults() -> None:
    assert registry.build("pricing", "adaptive", {"K": 1, "mean_price": 0.2}) == Adaptive(
        K=1.0, mean_price=0.2
    )
    assert isinstance(registry.build("pricing", "adaptive", {"K": 1}).K, float)


@pytest.mark.parametrize(
    ("kind", "name", "parameters", "field", "sentence"),
    [
        ("prices", "flat", {}, "kind", "must be one of: choice, forecast"),
        ("pricing", "nrg_coin", {}, "pricing.strategy", "did you mean 'nrgcoin'?"),
        ("pricing", "NRGCOIN", {}, "pricing.strategy", "did you mean 'nrgcoin'?"),
        ("forecast", "persistance", {}, "forecast.strategy", "did you mean 'persistence'?"),
        ("pricing", "adaptive", {"k": 1}, "pricing.k", "did you mean 'K'?"),
        ("pricing", "adaptive", {"mean_prise": 1}, "pricing.mean_prise", "did you mean 'mean_price'?"),
        ("choice", "first", {"x": 1}, "choice.x", "this strategy takes no parameters"),
        ("pricing", "adaptive", {"alpha": 0}, "pricing.alpha", "a number at least -1,000,000 and below 0"),
        ("pricing", "adaptive", {"K": "0.6"}, "pricing.K", "a number from -1,000,000 to 1,000,000"),
        ("pricing", "adaptive", {"K": True}, "pricing.K", "a number from"),
        ("pricing", "adaptive", {"K": float("nan")}, "pricing.K", "a number from"),
        ("pricing", "adaptive", {"K": float("inf")}, "pricing.K", "a number from"),
        ("pricing", "adaptive", {"estimate_alpha": 1}, "pricing.estimate_alpha", "true or false"),
        ("pricing", "nrgcoin", {"amount_kwh": 0}, "pricing.amount_kwh", "a number above 0"),
        ("pricing", "time_of_use", {"peak_windows": [[7, 25]]}, "pricing.peak_windows", "a list of ["),
        ("pricing", "time_of_use", {"peak_windows": [[7]]}, "pricing.peak_windows", "a list of ["),
        ("recommendation", "balanced", {"load_weight": -1}, "recommendation.load_weight", "from 0 to"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(kind, name, parameters, field, sentence) -> None:
    with pytest.raises(InputError) as caught:
        registry.build(kind, name, parameters)

    assert caught.value.field == field
    assert sentence in str(caught.value)


def test_several_wrong_parameters_are_named_at_once() -> None:
    with pytest.raises(InputErrors) as caught:
        registry.build("pricing", "adaptive", {"K": "x", "alpha": 1, "mean_price": 0.1})

    assert [error.field for error in caught.value.errors] == ["pricing.K", "pricing.alpha"]


# Entry points, from packages that exist only as metadata.


@pytest.fixture
def declare(tmp_path, monkeypatch):
    """Pretend that packages with entry points are installed."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "outsider", raising=False)

    def write(package: str, **points: str) -> Path:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[voltagora.strategies.pricing]", *lines, ""]))
        importlib.invalidate_caches()
        return tmp_path

    return write


def test_a_built_in_name_cannot_be_taken_over(declare) -> None:
    declare("thief", flat="thief:Flat")

    assert registry.find("pricing", "flat") is Flat
    assert registry.names("pricing") == PROMISED["pricing"]


def test_a_name_that_two_packages_claim_is_refused(declare) -> None:
    declare("one", mine="one:Mine")
    declare("two", mine="two:Mine")

    assert registry.names("pricing") == [*PROMISED["pricing"], "mine"]
    with pytest.raises(InputError, match=r"pricing\.strategy: .*one:Mine and two:Mine"):
        registry.find("pricing", "mine")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("nowhere.at_all:Mine", "No module named"),
        ("outsider:Missing", "has no attribute"),
        ("outsider:Mine", "a subclass of voltagora.strategies.pricing.decision.PricingStrategy"),
        ("outsider:function", "a subclass of"),
        ("voltagora.strategies.choice.first:First", "a subclass of"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_refused_with_the_reason(declare, value, sentence) -> None:
    folder = declare("package", mine=value)
    (folder / "outsider.py").write_text("class Mine: ...\ndef function(): ...\n")

    with pytest.raises(InputError, match=r"pricing\.strategy") as caught:
        registry.build("pricing", "mine")

    assert sentence in str(caught.value)


def test_importing_the_registry_loads_neither_strategies_nor_numba() -> None:
    code = (
        "import sys; from voltagora.strategies import registry; registry.build('pricing', 'nrgcoin');"
        "print(sorted(m for m in sys.modules if m.startswith('voltagora.strategies.') or m == 'numba'))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert "pricing.nrgcoin" in loaded
    assert "numba" not in loaded
    assert "pricing.adaptive" not in loaded
    assert "choice" not in loaded


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_without_bounds_must_still_be_finite(value) -> None:
    class Unbounded(msgspec.Struct, frozen=True):
        factor: float = 1.0
        factors: tuple[float, ...] = ()

    for parameters in ({"factor": value}, {"factors": [1.0, value]}):
        with pytest.raises(InputError, match="a number"):
            read_parameters(Unbounded, parameters)


def test_a_parameter_of_any_plain_type_is_told_in_words() -> None:

    class Odd(msgspec.Struct, frozen=True):
        count: int = 1
        mode: Literal["a", "b"] = "a"
        name: str | None = None
        many: tuple[str, ...] = ()
        table: dict[str, float] = {}

    assert [each.type for each in describe_parameters(Odd)] == [
        "a whole number",
        "one of: a, b",
        "a text or null",
        "a list of a text",
        "dict",
    ]
