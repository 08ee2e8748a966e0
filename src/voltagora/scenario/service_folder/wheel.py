"""The wheel of voltagora that a service folder takes along instead of a release."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from voltagora.domain.errors import InputError


def wheel_of(given: Path, place: Path) -> Path:
    """Give a wheel: the one that was given, or one made of a checkout.

    Args:
        given: a wheel, or the folder of a checkout.
        place: where one may be made.

    Raises:
        InputError: it is neither.
    """
    if given.is_dir():
        if not (given / "pyproject.toml").is_file():
            raise InputError("--wheel", str(given), "a wheel, or a checkout with its pyproject.toml")
        return _built(given, place)
    if not given.is_file() or not given.match("voltagora-*.whl"):
        raise InputError("--wheel", str(given), "a file voltagora-....whl, or a checkout to build it of")
    return given


def _built(checkout: Path, place: Path) -> Path:
    # Where the tool is here already nothing need be fetched for it.
    alone = ["--no-build-isolation"] if find_spec("hatchling") else []
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *alone]
    command = [*pip, "--wheel-dir", str(place), str(checkout.resolve())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    built = sorted(place.glob("voltagora-*.whl"))
    if done.returncode != 0 or not built:
        why = (done.stderr.strip().splitlines() or ["pip made none"])[-1]
        raise InputError("--wheel", str(checkout), f"a checkout of voltagora ({why[:200]})")
    return built[0]
