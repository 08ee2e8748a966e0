"""The command's frame: quick to start, one sentence and an exit code when something is wrong."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from voltagora import __version__
from voltagora.cli.main import app
from voltagora.domain.errors import InputError, InputErrors, MissingExtra, RunError
from voltagora.protocols import described
from voltagora.protocols.catalogue import MESSAGES

HEAVY = ["numpy", "matplotlib", "pyarrow", "numba", "highspy", "pandas", "msgspec"]


def python(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


def voltagora(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "voltagora", *arguments)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["run", "--help"], ["try", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    script = f"""
import sys
from voltagora.cli.main import app
try:
    app({arguments!r})
except SystemExit as left:
    assert not left.code, left.code
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""
    done = python("-c", script)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_importing_the_package_imports_no_room() -> None:
    script = "import sys, voltagora; print([name for name in sys.modules if name.startswith('voltagora.')])"
    assert python("-c", script).stdout.strip() == "[]"


def test_the_version_is_printed() -> None:
    done = voltagora("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"voltagora {__version__}\n", "")


def test_every_command_has_its_line_of_help() -> None:
    shown = voltagora("--help").stdout
    for name in ("run", "scenarios", "validate", "strategies", "try", "report", "compare", "protocols"):
        assert re.search(rf"\b{name}\b +[A-Z]", shown), name


@pytest.mark.parametrize(
    "arguments",
    [["protocls"], ["--colour"], ["protocols", "--jsonschema", "x"], ["run"], ["protocols", "a", "b"]],
)
def test_a_wrong_word_on_the_command_line_is_bad_input(arguments: list[str]) -> None:
    done = voltagora(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    assert "protocols" in voltagora("protocls").stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("days", -1, "at least 1"), 2, "days: got -1, must be at least 1\n"),
        (
            InputErrors([InputError("a", 1, "b"), InputError("c", 2, "d")]),
            2,
            "a: got 1, must be b\nc: got 2, must be d\n",
        ),
        (RunError("it broke"), 1, "it broke\n"),
        (MissingExtra("notebook", "frames"), 1, "frames needs the extra 'notebook'"),
        (KeyboardInterrupt(), 1, "stopped by the user\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            1,
            "[Errno 28] No space left on device: 'x'\n",
        ),
        (MemoryError(), 1, "out of memory"),
        (ZeroDivisionError("x"), 1, "a bug in voltagora, please report it: ZeroDivisionError: x"),
    ],
)
def test_an_error_is_a_sentence_and_a_code(
    error: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_code: str | None) -> str:
        raise error

    monkeypatch.setattr(described, "described", broken)
    done = CliRunner().invoke(app, ["protocols"])
    assert done.exit_code == code
    assert done.stderr.startswith(message)
    assert done.stdout == ""


def test_a_bug_shows_where_it_is_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_code: str | None) -> str:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(described, "described", broken)
    monkeypatch.setenv("VOLTAGORA_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(app, ["protocols"], catch_exceptions=False)


def test_ctrl_c_in_the_middle_is_one_sentence() -> None:
    script = """
import os, signal, sys
from voltagora.protocols import described
described.described = lambda code: os.kill(os.getpid(), signal.SIGINT)
from voltagora.cli.main import main
sys.argv = ["voltagora", "protocols"]
main()
"""
    done = python("-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "stopped by the user\n")


@pytest.mark.parametrize("command", ["protocols", "scenarios"])  # more than a buffer holds, and less
def test_a_reader_who_has_seen_enough_is_no_error(command: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "voltagora", command], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_contract_is_written_as_json_schema_and_asyncapi(tmp_path: Path) -> None:
    schemas, document = tmp_path / "deep" / "schemas", tmp_path / "asyncapi.json"
    done = voltagora("protocols", "--json-schema", str(schemas), "--asyncapi", "--output", str(document))
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in schemas.iterdir()) == sorted(f"{m.__name__}.json" for m in MESSAGES)
    assert json.loads(document.read_text())["asyncapi"] == "3.0.0"
    assert voltagora("protocols", "--asyncapi").stdout == document.read_text()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["CP13"], "code"),
        (["CP1", "--asyncapi"], "code"),
        (["--output", "x"], "--output"),
    ],
)
def test_protocols_refuses_what_makes_no_sense(arguments: list[str], field: str) -> None:
    done = voltagora("protocols", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{field}: got ")


@pytest.mark.skipif(os.geteuid() != 0 and not Path("/proc").exists(), reason="needs an unwritable folder")
def test_a_folder_that_cannot_be_written_is_one_sentence() -> None:
    done = voltagora("protocols", "--json-schema", "/proc/none")
    assert done.returncode == 1
    assert "/proc/none" in done.stderr
    assert len(done.stderr.splitlines()) == 1
