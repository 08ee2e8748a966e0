"""What docs/platform-api.md shows works, and it leaves no call of ours out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from api_stage import InThread, Site

from voltagora.platform.api import bodies
from voltagora.platform.client import PlatformClient
from voltagora.platform.registry.entities import Quotas

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "platform-api.md").read_text(encoding="utf-8")


def test_its_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = Site(tmp_path)
    begin = PlatformClient.__init__

    def without_a_network(self: PlatformClient, url: str) -> None:
        begin(self, url, transport=InThread(site.app, site.thread))

    monkeypatch.setattr(PlatformClient, "__init__", without_a_network)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(script, {})
    token, services = capsys.readouterr().out.splitlines()
    assert re.fullmatch("[0-9a-f]{40}", token)
    assert services == "['Heating']"
    monkeypatch.undo()
    site.close()


def test_its_table_names_every_call_that_the_old_file_does_not(tmp_path: Path) -> None:
    site = Site(tmp_path)
    calls = {(m.upper(), path) for path, each in site.app.openapi()["paths"].items() for m in each}
    old = yaml.safe_load(site.http.get("/swagger-documentation").text)["paths"]
    site.close()
    told = set(re.findall(r"^\| `([A-Z]+) (/\S+)`", PAGE, re.MULTILINE))
    assert told == calls - {(m.upper(), path) for path, each in old.items() for m in each}


def test_the_limits_it_names_are_those() -> None:
    quotas = Quotas()
    for number in (quotas.topics, quotas.services, quotas.tokens):
        assert f"{number:,}" in PAGE
    assert (
        f"{bodies.MOST_BYTES // 2**20} MiB at most, an upload {bodies.MOST_UPLOAD_BYTES // 2**20} MiB" in PAGE
    )
    assert f"stand still for {bodies.IDLE_SECONDS:.0f} seconds" in PAGE
