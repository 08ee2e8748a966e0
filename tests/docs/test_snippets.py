"""What the pages show runs, and what they point at is there."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voltagora import __version__
from voltagora.cli.main import app
from voltagora.protocols.catalogue import PROTOCOLS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SOURCE = ROOT / "src" / "voltagora"

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@every_page
def test_source_files_named_on_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rooms = "|".join(sorted(path.name for path in SOURCE.iterdir() if path.is_dir()))
    for name in re.findall(rf"`(?:src/voltagora/)?((?:{rooms})/[\w/]+\.py)`", text):
        assert (SOURCE / name).exists(), name


def test_what_one_booking_names_exists() -> None:
    text = (ROOT / "docs" / "one-booking.md").read_text(encoding="utf-8")
    known = methods_of_the_source()
    named = re.findall(r"`([A-Z]\w+)\.(\w+)`", text)
    assert len(named) > 5
    for owner, method in named:
        assert method in known.get(owner, ()), f"{owner}.{method}"
    for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        sources = " ".join(path.read_text(encoding="utf-8") for path in (SOURCE / "agents").glob("*.py"))
        assert " ".join(snippet.split()) in " ".join(sources.split())


def methods_of_the_source() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                inside = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                found.setdefault(node.name, set()).update(inside)
    return found


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    (script,) = blocks("README.md", "python")
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    cost, reservations = done.stdout.splitlines()
    assert float(cost) > 0
    assert int(reservations.split()[0]) > 0
    assert (tmp_path / "imbalance.png").stat().st_size > 10_000


def test_the_commands_of_the_readme_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # What `make run` does before; here with few vehicles, since only the words are at stake.
    commands = ["voltagora run paper-2020 --out runs/paper-2020"]
    commands += [line[2:] for block in blocks("README.md", "console") for line in block.splitlines()]
    ours = [shlex.split(command)[1:] for command in commands if command.startswith("voltagora ")]
    assert len(ours) > 5
    for words in ours:
        few = ["--set", "vehicles.count=10"] if "paper-2020" in words and words[0] == "run" else []
        done = CliRunner().invoke(app, [*words, *few])
        assert done.exit_code == 0, (words, done.stderr)


def test_the_makefile_does_what_the_pages_say() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:`|\$ )make (\w+)", page.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"make {target} in {page.name}"


def test_the_domain_page_gives_the_reasons_of_every_protocol() -> None:
    text = (ROOT / "docs" / "domain.md").read_text(encoding="utf-8")
    rows = {row[0]: row[1] for row in re.findall(r"^\| (CP\d+) \|.*\| ([^|]*) \|$", text, re.MULTILINE)}
    updates = set(re.findall(r"`(\w+)`", rows["CP8"]))
    for protocol in PROTOCOLS:
        told = set(re.findall(r"`(\w+)`", rows[protocol.code]))
        if "CP8" in rows[protocol.code]:
            told |= updates
        assert told | {"invalid_request"} == {*protocol.reasons} | {"invalid_request"}, protocol.code


def test_the_versions_agree() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_decision_is_listed_and_says_what_it_gave_up() -> None:
    folder = ROOT / "docs" / "decisions"
    listing = (folder / "README.md").read_text(encoding="utf-8")
    pages = sorted(folder.glob("0*.md"))
    assert [page.name for page in pages] == re.findall(r"\((0\d+-[\w-]+\.md)\)", listing)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for part in ("**Chosen.**", "**Why.**", "**Given up.**"):
            assert part in text, page.name
