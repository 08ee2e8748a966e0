"""Runs side by side: differences told rightly, in words and in a page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from voltagora.cli import reports
from voltagora.domain.errors import InputError
from voltagora.results.catalogue import BY_NAME, COUNTS, GROUPS, METRICS
from voltagora.results.compare import Comparison, difference, unique_names
from voltagora.results.result import Result
from voltagora.results.wording import SPACE


def a_result(world: Any, gathered: Any, seed: int, **options: Any) -> Result:
    made = world(seed, **options)
    return Result.of(gathered(made.records, made.span), {"name": f"run-{seed}", "seed": seed})


@pytest.fixture(scope="module")
def folders(world: Any, gathered: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    return [
        a_result(world, gathered, seed, vehicles=8).save(root / name, report=False)
        for seed, name in ((1, "first_slot"), (2, "v2g"), (3, "lowest_price"))
    ]


def told(metric: str, before: float | None, after: float | None) -> tuple[str, bool | None]:
    it = difference("v2g", "base", BY_NAME[metric], before, after)
    return it.sentence.replace(SPACE, " "), it.good


def test_differences_are_told_in_words() -> None:
    assert told("deficit_peak_kwh", 1200.0, 1056.0) == (
        "v2g lowers the deficit peak by 12 %, from 1,200 kWh to 1,056 kWh", True
    )  # fmt: skip
    assert told("average_cost_eur_per_vehicle", 10.0, 11.0) == (
        "v2g raises the average cost per vehicle by 10 %, from 10 EUR to 11 EUR".replace(
            "10 EUR", "10.00 EUR"
        ).replace("11 EUR", "11.00 EUR"),
        False,
    )
    assert told("need_met_share", 0.9, 0.99) == ("v2g raises the need met from 90 % to 99 %", True)
    assert told("charged_kwh", 0.0, 5.0) == ("v2g raises the energy charged from 0 kWh to 5 kWh", None)
    assert told("average_cost_eur_per_vehicle", 2.0, -1.0)[0].startswith(
        "v2g lowers the average cost per vehicle from"
    )
    assert told("charged_kwh", 5.0, 5.0) == ("", None)
    assert told("cost_gini", None, 0.5) == ("Gini coefficient of cost: known in v2g only, not in base", None)
    assert told("cost_gini", None, None) == ("", None)


def test_equal_runs_differ_in_nothing(world: Any, gathered: Any) -> None:
    comparison = Comparison([a_result(world, gathered, 1), a_result(world, gathered, 1)])

    assert comparison.names == ("run-1", "run-1 (2)")
    assert comparison.words() == []
    assert b"No metric differs" in comparison.files()["compare.html"]


def test_one_run_cannot_be_compared(world: Any, gathered: Any) -> None:
    with pytest.raises(InputError, match="at least two"):
        Comparison([a_result(world, gathered, 1)])


def test_runs_of_one_name_are_told_apart() -> None:
    assert unique_names(["a", "b", "a", "a"]) == ("a", "b", "a (2)", "a (3)")


def test_runs_of_different_shape_are_compared(world: Any, gathered: Any) -> None:
    results = [
        a_result(world, gathered, 1, vehicles=0),
        a_result(world, gathered, 2, areas=2, step_minutes=15),
        Result.of(gathered([], world(1).span), {}),
    ]
    page = Comparison(results, ["none", "two areas", "empty"]).files()["compare.html"].decode()
    assert "two areas" in page
    assert "Not every run" in page


def test_every_metric_has_words_and_is_documented(world: Any, gathered: Any) -> None:
    metrics = a_result(world, gathered, 1, areas=2).metrics
    document = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text(encoding="utf-8")

    assert set(metrics) | {"with_first_slot"} == {metric.name for metric in METRICS} | {*COUNTS, *GROUPS}
    for name in (*metrics, "with_first_slot"):
        assert f"`{name}`" in document


def test_every_table_and_column_is_documented(folders: list[Path]) -> None:
    document = (Path(__file__).parents[2] / "docs" / "kpis.md").read_text(encoding="utf-8")
    for name, table in Result.load(folders[0]).tables.items():
        part = document[document.index(f"### `{name}.parquet`") :].split("\n### ")[0]
        for column in table.column_names:
            assert f"`{column}`" in part, (name, column)


APP = typer.Typer()
APP.command("report")(reports.report_command)
APP.command("compare")(reports.compare_command)


def run(*arguments: object) -> str:
    outcome = CliRunner().invoke(APP, [str(argument) for argument in arguments], catch_exceptions=False)
    assert outcome.exit_code == 0
    return outcome.stdout


def test_compare_prints_and_writes_a_page(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "compare.html"
    printed = run("compare", *folders, "--out", out)

    assert re.search(r"Deficit peak +[\d.,]+\s[kM]?Wh", printed)
    assert "v2g" in printed
    page = out.read_text(encoding="utf-8")
    for words in ("Side by side", "All figures", "Settings that differ", "lowest_price"):
        assert words in page
    assert "http" not in page
    assert [path.name for path in tmp_path.iterdir()] == ["compare.html"]


def test_compare_writes_its_figures_when_asked_and_json_for_programs(
    folders: list[Path], tmp_path: Path
) -> None:
    answer = json.loads(run("compare", *folders[:2], "--out", tmp_path / "c.html", "--figures", "--json"))

    assert answer["runs"] == ["first_slot", "v2g"]
    assert set(answer["metrics"]) == {metric.name for metric in METRICS}
    kinds = {path.suffix for path in (tmp_path / "figures").iterdir()}
    assert kinds == {".svg", ".csv", ".png"}


def test_report_writes_the_page_again_and_prints_the_metrics(folders: list[Path]) -> None:
    printed = run("report", folders[1], "--figures")

    assert "Average cost per vehicle" in printed
    assert (folders[1] / "report.html").is_file()
    assert (folders[1] / "figures" / "prices.png").is_file()
    assert json.loads(run("report", folders[1], "--json")) == Result.load(folders[1]).metrics
