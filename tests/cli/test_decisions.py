"""`voltagora strategies` lists what can be decided, and `voltagora try` reads its question."""

import json
import subprocess
import sys

from typer.testing import CliRunner

from voltagora.cli.main import app


def ran(*words, question=None):
    """Run the command; a question goes in by standard input."""
    text = question if isinstance(question, str) else json.dumps(question)
    return CliRunner().invoke(app, list(words), input=text)


# strategies


def test_all_strategies_are_listed_with_their_parameters() -> None:
    listed = ran("strategies").stdout

    for word in ("nrgcoin", "weekday_hour_mean", "lowest_price", "amount_kwh = 1.0", "tolerance_eur"):
        assert word in listed


def test_a_strategy_is_shown_in_full_with_formula_and_source() -> None:
    shown = ran("strategies", "pricing", "nrgcoin").stdout

    assert "exp(−((S − D)/D)²)" in shown
    assert "Source: Mihaylov et al. 2014" in shown
    assert "a number above 0" in shown


def test_the_list_is_json_for_programs() -> None:
    listed = json.loads(ran("strategies", "choice", "--json").stdout)

    assert [each["name"] for each in listed] == ["first", "cheapest", "utility", "random"]
    assert listed[2]["parameters"][0]["default"] == 0.3


def test_an_unknown_kind_or_name_is_bad_input() -> None:
    assert ran("strategies", "prices").exit_code == 2
    assert ran("strategies", "pricing", "flatt").exit_code == 2


def test_the_command_answers_from_a_shell() -> None:
    command = [sys.executable, "-c", "from voltagora.cli.main import main; main()", "try", "pricing", "flat"]
    question = b'{"supply": [1], "demand": [1]}'

    good = subprocess.run([*command, "--input", "-"], input=question, capture_output=True)
    bad = subprocess.run([*command, "--input", "-"], input=b'{"supply": [1]}', capture_output=True)

    assert (good.returncode, json.loads(good.stdout)) == (0, {"buy": [0.3], "sell": [0.1]})
    assert (bad.returncode, bad.stdout) == (2, b"")
    assert bad.stderr == b"demand: got nothing, must be present\n"


# what try is given


def test_a_question_is_read_from_a_file(tmp_path) -> None:
    file = tmp_path / "question.json"
    file.write_text(json.dumps({"supply": [1], "demand": [1]}))

    result = ran("try", "pricing", "flat", "--input", str(file))

    assert json.loads(result.stdout) == {"buy": [0.3], "sell": [0.1]}
    missing = ran("try", "pricing", "flat", "--input", str(tmp_path / "nowhere.json"))
    assert missing.exit_code == 2
    assert "--input: " in missing.stderr


def test_an_unknown_kind_of_decision_is_bad_input() -> None:
    result = ran("try", "princing", "nrgcoin", "--input", "-", question={})

    assert result.exit_code == 2
    assert "kind: got 'princing'" in result.stderr
    assert "did you mean 'pricing'?" in result.stderr
