"""The cookbook says what the code does: every strategy, every parameter, and examples that run."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voltagora.cli.main import app
from voltagora.strategies import registry
from voltagora.strategies.pricing.decision import PricingDay

PAGE = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text(encoding="utf-8")
SHIPPED = [(kind, name) for kind in registry.kinds() for name in registry.BUILT_IN[kind]]


def section_of(kind, name):
    return re.split(r"\n##", PAGE.partition(f"\n### {kind} `{name}`\n")[2])[0]


@pytest.mark.parametrize(("kind", "name"), SHIPPED)
def test_every_strategy_has_a_section_with_exactly_its_parameters(kind, name) -> None:
    section = section_of(kind, name)
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section, re.MULTILINE)

    assert section
    assert rows == [
        (each.name, json.dumps(each.default), each.description)
        for each in registry.describe(kind, name).parameters
    ]
    assert ("No parameters" in " ".join(section.split())) == (not rows)


def test_no_section_is_about_a_strategy_that_is_gone() -> None:
    assert re.findall(r"^### (\w+) `(\w+)`$", PAGE, re.MULTILINE) == SHIPPED


def test_the_strategy_written_on_the_page_works() -> None:
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    written: dict[str, object] = {}
    exec(compile(code, "docs/strategies.md", "exec"), written)
    day = PricingDay(
        start=0,
        step_minutes=60,
        supply_kwh=np.array([0.0, 3.0, 9.0, 1.0]),
        demand_kwh=np.array([4.0, 4.0, 4.0, 0.0]),
    )

    buy, sell = written["Scarcity"]().price(day)

    assert buy.tolist() == sell.tolist() == [0.5, 0.125, 0.0, 0.0]


def test_the_decision_shown_on_the_page_is_the_one_made() -> None:
    question, words, answer = re.search(r"\$ echo '(.*)' \| voltagora (.*)\n    (.*)\n", PAGE).groups()

    assert CliRunner().invoke(app, words.split(), input=question).stdout == answer + "\n"
