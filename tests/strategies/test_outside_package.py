"""A package of somebody else's adds a strategy by an entry point and is used by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "examples" / "strategy-package"
COMMAND = "from voltagora.cli.main import main; main()"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The example package, built from a copy and installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("outside")
    copy = folder / "source"
    for file in sorted(PACKAGE.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            target = copy / file.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(copy)], check=True, capture_output=True)
    return folder / "site"


def voltagora(installed: Path | None, *words: str, question: str = "") -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)
    if installed is not None:
        environment["PYTHONPATH"] = str(installed)
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *words],
        input=question,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_it_runs_by_name_with_its_parameters(installed) -> None:
    question = json.dumps({"supply": [5, 1], "demand": [2, 2]})

    asked = ("try", "pricing", "two_prices", "--input", "-", "--param", "deficit_eur_per_kwh=0.75")
    ran = voltagora(installed, *asked, question=question)

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"buy": [0.1, 0.75], "sell": [0.1, 0.75]}


def test_it_is_listed_after_the_built_in_ones_and_described(installed) -> None:
    listed = json.loads(voltagora(installed, "strategies", "pricing", "--json").stdout)

    assert [each["name"] for each in listed] == [
        "nrgcoin", "adaptive", "flat", "time_of_use", "market", "two_prices"
    ]  # fmt: skip
    assert listed[-1]["source"] == "made up for the example"
    assert [each["name"] for each in listed[-1]["parameters"]] == [
        "surplus_eur_per_kwh",
        "deficit_eur_per_kwh",
    ]


def test_a_misspelt_parameter_of_it_is_refused_like_any_other(installed) -> None:
    ran = voltagora(installed, "try", "pricing", "two_prices", "--input", "-", "--param", "surplus=1")

    assert ran.returncode == 2
    assert "pricing.surplus: " in ran.stderr
    assert "did you mean 'surplus_eur_per_kwh'?" in ran.stderr


def test_without_the_package_there_is_no_such_name() -> None:
    ran = voltagora(None, "try", "pricing", "two_prices", "--input", "-", question="{}")

    assert ran.returncode == 2
    assert "pricing.strategy: got 'two_prices', must be one of: adaptive, flat" in ran.stderr
