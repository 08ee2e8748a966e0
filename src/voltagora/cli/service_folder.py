"""`voltagora service-folder`: an agent as a folder that the platform, or Docker, can build and run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voltagora import __version__
from voltagora.domain.errors import InputError, one_of

if TYPE_CHECKING:
    from voltagora.agents.agent import Agent

MAIN: Final = '''\
"""Runs one agent of VoltAgora; what it is told comes from the environment and from agent.toml."""

import sys

from voltagora.cli.main import main

sys.argv = ["voltagora", "agent", "{kind}", "--config", "agent.toml"]
main()
'''
DOCKERFILE: Final = """\
FROM python:3.11-slim
COPY . /
RUN pip install -r requirements.txt
CMD ["python", "main.py"]
"""
README: Final = """\
# {title}

One {kind} of the market in `scenario.toml`, as a service. Upload the files, build, and run it; or

    docker build -t {id} . && docker run -e BROKER=... -e username=... -e password=... {id}

It reads `BROKER`, `CLIENT_NAME`, `username`, `password`, `run_params` (JSON with the keys of
`agent.toml`), and checks `in_topic_1..n` and `out_topic_1..m` against the topics it needs, which are
listed in `service.json`, the platform's import format. `log/` receives its log.
"""
MEANS: Final = {
    "vehicle": ("Actuator", "ResourceService"),
    "station": ("Actuator", "ActuatorService"),
    "recommender": ("Processor", "RecommendationSystemService"),
    "imbalance": ("Processor", "FusionService"),
    "pricing": ("Processor", "DecisionMakerService"),
    "producer": ("Sensor", "SensorService"),
    "consumer": ("Sensor", "SensorService"),
}
"""What the platform calls them: type and class."""


def service_folder_command(
    kind: Annotated[
        str,
        typer.Argument(help="vehicle, station, recommender, imbalance, pricing, producer or consumer."),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to make; service-KIND if left out.")] = None,
    scenario: Annotated[str, typer.Option(help="The market it belongs to.")] = "quickstart",
    id_: Annotated[str | None, typer.Option("--id", help="Which agent; the first of its kind.")] = None,
    wheel: Annotated[
        Path | None, typer.Option(help="A wheel of voltagora to put beside, instead of the released one.")
    ] = None,
) -> None:
    """Make a folder that holds one agent as a service: code, requirements, Dockerfile, metadata."""
    from voltagora.live.owners import KIND_WORDS

    if kind not in KIND_WORDS:
        raise InputError("KIND", kind, one_of(kind, KIND_WORDS))
    if wheel is not None and not wheel.is_file():
        raise InputError("--wheel", str(wheel), "a file")
    folder = out or Path(f"service-{kind}")
    if folder.exists() and any(folder.iterdir()):
        raise InputError("--out", str(folder), "a folder that is empty or not there yet")
    agent, text, title = _agent(kind, scenario, id_)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log").mkdir(exist_ok=True)
    for name, content in _files(kind, agent, text, title, wheel).items():
        (folder / name).write_text(content, encoding="utf-8")
    if wheel is not None:
        shutil.copy(wheel, folder / wheel.name)
    print(f"{folder}: {agent.id}, one {kind} of {title}")


def _agent(kind: str, scenario: str, id: str | None) -> tuple[Agent, str, str]:
    """Find the agent, and the text of the scenario that the folder takes along."""
    from voltagora.live.owners import KIND_WORDS
    from voltagora.scenario import shipped
    from voltagora.scenario.cast import Part, cast
    from voltagora.scenario.population import population
    from voltagora.scenario.read import read_scenario

    read = read_scenario(scenario, (), None)
    part = Part(kinds=(KIND_WORDS[kind],), ids=() if id is None else (id,))
    agents = cast(read, population(read), part).agents
    if not agents:
        raise InputError("--scenario", scenario, f"one that has a {kind}")
    path = Path(scenario)
    text = path.read_text(encoding="utf-8") if path.is_file() else shipped.text(scenario)
    return agents[0], text, read.title


def _files(kind: str, agent: Agent, scenario: str, title: str, wheel: Path | None) -> dict[str, str]:
    package = f"voltagora[live]=={__version__}" if wheel is None else f"./{wheel.name}[live]"
    settings = f'scenario = "scenario.toml"\nid = "{agent.id}"\ndata = "data"\n'
    return {
        "main.py": MAIN.format(kind=kind),
        "requirements.txt": f"{package}\n",
        "Dockerfile": DOCKERFILE,
        "agent.toml": settings,
        "scenario.toml": scenario,
        "service.json": json.dumps({"1": _service(kind, agent, title)}, indent=2) + "\n",
        "README.md": README.format(title=agent.id, kind=kind, id=agent.id.lower()),
    }


def _service(kind: str, agent: Agent, title: str) -> dict[str, Any]:
    """Describe the service and its topics in the platform's import format, in order."""
    from voltagora.protocols.access import CLOCK, TIMER, access, presence_topic

    may = access(agent.kind, agent.id)
    reads = [*may.read, TIMER, CLOCK, *(presence_topic(id) for id in agent.relies_on)]
    writes = [*may.publish, presence_topic(agent.id)]
    kind_of_service, meaning = MEANS[kind]
    return {
        "id": 1,
        "name": agent.id,
        "description": f"{kind} of {title}",
        "service_type": kind_of_service,
        "service_ontology": meaning,
        "location": "",
        "owner": "",
        "input_topics": [_topic(number, name) for number, name in enumerate(reads, 1)],
        "output_topics": [_topic(number, name) for number, name in enumerate(writes, 1 + len(reads))],
    }


def _topic(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "name": name, "description": "", "topic_ontology": "string"}
