"""`voltagora service-folder`: an agent as a folder that the platform, or Docker, can build and run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from voltagora.domain.errors import InputError, one_of


def service_folder_command(
    kind: Annotated[
        str,
        typer.Argument(help="vehicle, station, recommender, imbalance, pricing, producer or consumer."),
    ],
    out: Annotated[Path | None, typer.Option(help="The folder to make; service-KIND if left out.")] = None,
    scenario: Annotated[
        str, typer.Option(help="The market it belongs to: a TOML file, or the name of a shipped one.")
    ] = "quickstart",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replace the scenario's seed.")] = None,
    id_: Annotated[str | None, typer.Option("--id", help="Which agent; the first of its kind.")] = None,
    wheel: Annotated[
        Path | None,
        typer.Option(help="A wheel of voltagora to install, or a checkout to build one of."),
    ] = None,
) -> None:
    """Make a folder that holds one agent as a service: code, requirements, Dockerfile, metadata."""
    from voltagora.live.owners import KIND_WORDS
    from voltagora.scenario.service_folder.folder import service_folder
    from voltagora.scenario.service_folder.wheel import wheel_of

    if kind not in KIND_WORDS:
        raise InputError("KIND", kind, one_of(kind, KIND_WORDS))
    folder = out or Path(f"service-{kind}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError("--out", str(folder), "a folder that is empty or not there yet")
    with tempfile.TemporaryDirectory() as place:
        made = service_folder(kind, scenario, set_ or (), seed, id_)
        files = made.files(None if wheel is None else wheel_of(wheel, Path(place)))
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    print(f"{folder}: {made.agent.id}, one {kind} of {made.title}")
