"""Container engines: Docker or Podman, called as programs, where the operator wants one."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Final

from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.dockerfile import Recipe

ENGINES: Final = ("docker", "podman")
_ASK_SECONDS: Final = 10.0
_BUILD_SECONDS: Final = 1_800.0


async def works(engine: str) -> str | None:
    """Give the path of an engine that answers, or None; a client without its daemon does not."""
    found = shutil.which(engine)
    if found is None:
        return None
    code, _ = await _call(_ASK_SECONDS, found, "info")
    return found if code == 0 else None


async def detect() -> str | None:
    """Give the first engine that answers."""
    for name in ENGINES:
        found = await works(name)
        if found is not None:
            return found
    return None


def image_name(service: Service) -> str:
    """Give the name of a service's image."""
    name = service.folder.lower()
    return name if re.fullmatch(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", name) else f"service-{service.id}"


async def build(engine: str, image: str, files: Path, log: Path) -> Recipe:
    """Build an image and say how it is run.

    Args:
        engine: path of the program.
        image: name and version.
        files: folder with the Dockerfile.
        log: file to add to.

    Raises:
        Refusal: 400 with what the engine said.
    """
    if not (files / "Dockerfile").is_file():
        raise Refusal(400, "Cannot locate specified Dockerfile: Dockerfile")
    code, said = await _call(_BUILD_SECONDS, engine, "build", "--tag", image, str(files))
    with log.open("ab") as file:
        file.write(said)
    if code != 0:
        raise Refusal(400, f"The build failed:\n{said[-2_000:].decode(errors='replace').strip()}")
    code, said = await _call(_ASK_SECONDS, engine, "image", "inspect", "--format", "{{json .Config}}", image)
    try:
        config = json.loads(said)
        command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
    except (ValueError, AttributeError, TypeError):
        raise Refusal(400, "The engine does not say how the image is run") from None
    if code != 0 or not command:
        raise Refusal(400, "Dockerfile: there is neither CMD nor ENTRYPOINT")
    return Recipe(python=(), command=command, directory=config.get("WorkingDir") or "/")


async def remove_image(engine: str, image: str) -> None:
    """Remove an image; one that is not there is as good."""
    await _call(_ASK_SECONDS, engine, "image", "rm", "--force", image)


async def _call(seconds: float, *words: str) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, b"the engine took too long"
    return process.returncode or 0, said
