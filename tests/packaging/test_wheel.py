"""The wheel is whole: it works in an empty folder, and from nothing but itself and its dependencies."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the tools of this environment."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Unpack the wheel alone; the dependencies are lent by this environment, the checkout is not."""
    place = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", place, wheel], check=True, capture_output=True)
    lent = tmp_path_factory.mktemp("lent")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "voltagora" not in package.name and package.suffix != ".pth":
            (lent / package.name).symlink_to(package)
    return {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{lent}"}


def voltagora(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    # -S leaves out this environment's own site-packages, and with it the checkout.
    command = [sys.executable, "-S", "-m", "voltagora", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    roots = {name.split("/")[0] for name in names}
    assert {root.split("-")[0] for root in roots} == {"voltagora"}
    tracked = subprocess.run(
        ["git", "ls-files", "src/voltagora"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    missing = {name.removeprefix("src/") for name in tracked} - set(names)
    assert not missing
    assert "voltagora/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".nbi", ".nbc"))]


def test_it_runs_from_an_empty_folder(installed: dict[str, str], tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-S", "-c", "import voltagora; print(voltagora.__file__)"],
        cwd=tmp_path,
        env=installed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert str(ROOT) not in where
    assert voltagora(installed, tmp_path, "--version").startswith("voltagora ")
    assert "quickstart" in voltagora(installed, tmp_path, "scenarios")
    voltagora(installed, tmp_path, "run", "quickstart", "--out", "result")
    assert {"run.json", "report.html", "sessions.parquet"} <= {
        path.name for path in (tmp_path / "result").iterdir()
    }


@pytest.mark.slow
def test_it_installs_into_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", "--no-input", wheel]
    subprocess.run(install, check=True, capture_output=True)
    folder = tmp_path / "empty"
    folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [environment / "bin" / "voltagora", "run", "quickstart", "--out", "result"]
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "result" / "report.html").stat().st_size > 10_000
