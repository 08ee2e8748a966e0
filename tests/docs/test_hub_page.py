"""What docs/hub.md shows works as shown."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

from typer.main import get_command

from voltagora.cli.hub import hub, hub_command
from voltagora.hub import limits
from voltagora.hub.topics import parse_filter

CALLBACK = hub_command.__annotations__
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")


def test_its_python_runs() -> None:
    live, table = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", live], capture_output=True, text=True, check=True)
    assert done.stdout == "EV/1/outcome b'accepted'\n[b'accepted']\n"
    subprocess.run([sys.executable, "-c", table], check=True)


def test_its_users_file_has_the_keys_that_are_read() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    alice = tomllib.loads(block)["users"]["alice"]
    assert list(alice) == ["password", "publish", "subscribe", "deny"]
    assert all(parse_filter(text) for key in ("publish", "subscribe", "deny") for text in alice[key])


def test_its_table_of_options_is_complete() -> None:
    command = get_command(hub)
    known = {option for each in command.params for option in each.opts if each.name in CALLBACK}
    table = PAGE[PAGE.index("| option |") : PAGE.index("## Users")]
    assert set(re.findall(r"`(--[a-z-]+)", table)) == known


def test_the_limits_it_names_exist() -> None:
    known = {field.name for field in fields(limits.Limits)}
    assert set(re.findall(r"`Limits\.(\w+)`", PAGE)) <= known
