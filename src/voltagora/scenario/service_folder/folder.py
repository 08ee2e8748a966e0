"""Writes one agent of a scenario as a service: the files of its folder."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from voltagora import __version__
from voltagora.agents.agent import Agent
from voltagora.domain.errors import InputError
from voltagora.live.owners import KIND_WORDS
from voltagora.live.topics_of import topics_of
from voltagora.scenario import shipped
from voltagora.scenario.cast import Part, cast
from voltagora.scenario.population import population
from voltagora.scenario.read import PATH_KEYS, read_scenario
from voltagora.scenario.settings import Scenario

MEANS: Final = {
    "vehicle": ("Actuator", "ResourceService"),
    "station": ("Actuator", "ActuatorService"),
    "recommender": ("Processor", "RecommendationSystemService"),
    "imbalance": ("Processor", "FusionService"),
    "pricing": ("Processor", "DecisionMakerService"),
    "producer": ("Sensor", "SensorService"),
    "consumer": ("Sensor", "SensorService"),
}
"""What the platform calls them: type and class of its ontology."""
TEMPLATES: Final = {
    "main.py": "main.py.txt",
    "Dockerfile": "Dockerfile.txt",
    ".dockerignore": "dockerignore.txt",
    "agent.toml": "agent.toml.txt",
    "README.md": "README.md.txt",
}


class ServiceFolder(msgspec.Struct, frozen=True, kw_only=True):
    """One agent as a service.

    Attributes:
        kind: as on the command line.
        agent: the agent.
        title: of its market.
        scenario: TOML.
        overrides: of the scenario, `key=value`.
        seed: that replaces the scenario's.
        data: files that the scenario names, by the name they have in the folder.
    """

    kind: str
    agent: Agent
    title: str
    scenario: str
    overrides: tuple[str, ...]
    seed: int | None
    data: dict[str, Path]

    def files(self, wheel: Path | None) -> dict[str, bytes]:
        """Give all files by their names in the folder.

        Args:
            wheel: what is installed instead of the release.
        """
        package = f"voltagora[live]=={__version__}" if wheel is None else f"./{wheel.name}[live]"
        texts = {name: self._filled(template) for name, template in TEMPLATES.items()}
        texts["requirements.txt"] = f"{package}\n"
        texts["scenario.toml"] = self.scenario
        texts["service.json"] = json.dumps({"1": self._service()}, indent=2) + "\n"
        texts["log/.gitkeep"] = ""
        found = {name: text.encode() for name, text in texts.items()}
        found |= {name: path.read_bytes() for name, path in self.data.items()}
        return found if wheel is None else found | {wheel.name: wheel.read_bytes()}

    def _filled(self, template: str) -> str:
        text = (files(__package__) / "template" / template).read_text(encoding="utf-8")
        said = [f"set = {_toml(self.overrides)}"] if self.overrides else []
        said += [f"seed = {self.seed}"] if self.seed is not None else []
        return text.format(
            id=self.agent.id,
            kind=self.kind,
            image=self.agent.id.lower(),
            overrides="".join(f"{line}\n" for line in said),
        )

    def _service(self) -> dict[str, Any]:
        """Describe the service and its topics in the platform's import format, in order."""
        reads, publishes = topics_of(self.agent)
        kind_of_service, meaning = MEANS[self.kind]
        return {
            "id": 1,
            "name": self.agent.id,
            "description": f"{self.kind} of {self.title}"[:200],
            "service_type": kind_of_service,
            "service_ontology": meaning,
            "location": "",
            "owner": "",
            "input_topics": [_topic(number, name) for number, name in enumerate(reads, 1)],
            "output_topics": [_topic(number, name) for number, name in enumerate(publishes, 1 + len(reads))],
        }


def service_folder(
    kind: str, scenario: str, overrides: Sequence[str], seed: int | None, id: str | None
) -> ServiceFolder:
    """Find the agent, and all that its folder takes along.

    Raises:
        InputError: the scenario has no such agent.
        InputErrors: the scenario is wrong.
    """
    read = read_scenario(scenario, overrides, seed)
    part = Part(kinds=(KIND_WORDS[kind],), ids=() if id is None else (id,))
    agents = cast(read, population(read), part).agents
    if not agents:
        raise InputError("--scenario", scenario, f"one that has a {kind}")
    text = shipped.text(scenario) if scenario in shipped.names() else _text(Path(scenario))
    data = _data(read)
    return ServiceFolder(
        kind=kind,
        agent=agents[0],
        title=read.title,
        scenario=text,
        overrides=(*overrides, *_replaced(read, text)),
        seed=seed,
        data=data,
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


def _data(scenario: Scenario) -> dict[str, Path]:
    """Find the data files; in the folder they lie beside each other."""
    found: dict[str, Path] = {}
    for section, key in PATH_KEYS:
        path = getattr(getattr(scenario, section), key)
        if path is not None and found.setdefault(Path(path).name, Path(path)) != Path(path):
            raise InputError(f"{section}.{key}", str(path), "a file of another name than the other data")
    return found


def _replaced(scenario: Scenario, text: str) -> list[str]:
    """Override what depends on where a scenario lies: its title, and where its data are."""
    said = [] if "title" in tomllib.loads(text) else [f"title={_toml(scenario.title)}"]
    for section, key in PATH_KEYS:
        path = getattr(getattr(scenario, section), key)
        if path is not None:
            said.append(f"{section}.{key}={_toml(Path(path).name)}")
    return said


def _topic(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "description": "", "topic_ontology": "string"}


def _toml(value: object) -> str:
    """Write a text, or a list of them; JSON's form is TOML's, too."""
    return json.dumps(value, ensure_ascii=False)
