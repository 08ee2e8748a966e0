"""Makes the order that starts an instance of a service: its root, its mounts, its environment."""

from __future__ import annotations

import posixpath
import shutil
from pathlib import Path

from voltagora.platform.registry.entities import Service
from voltagora.platform.runner.building import mounts_of_python
from voltagora.platform.runner.builds import Made
from voltagora.platform.runner.contract import INSIDE_BROKER, PATH, client_name, environment
from voltagora.platform.runner.engine import image_name
from voltagora.platform.runner.environments import VENV
from voltagora.platform.runner.interface import Credential, Restart
from voltagora.platform.runner.orders import Mount, Order, Subject
from voltagora.platform.runner.places import Places, source_address, uid_of
from voltagora.platform.runner.settings import Settings


def service_order(
    service: Service,
    made: Made,
    places: Places,
    settings: Settings,
    *,
    box: str,
    broker: tuple[str, int],
    credential: Credential,
    run_params: str,
    instance: int,
    restart: Restart,
    own_user: bool,
) -> Order:
    """Lay out a fresh root and say how the instance is kept.

    Raises:
        OSError: there is no room, or the build is gone.
    """
    root, log = _laid_out(service, made, places, instance)
    client = client_name(image_name(service), instance)
    found = environment(service, credential, run_params, client, made.recipe.environment)
    order = Order(
        subject=Subject(
            folder=service.folder,
            number=instance,
            build=made.version,
            client_name=client,
            principal=credential.principal,
            environment=made.environment,
        ),
        box=box,
        image=made.image,
        root=str(root),
        interpreter="python3" if made.image else made.interpreter,
        command=list(made.recipe.command),
        directory=made.recipe.directory,
        environment=found,
        mounts=_mounts(made, places, root, log),
        uid=uid_of(service) if own_user and box == "bubblewrap" else None,
        broker=broker,
        source_address=source_address(service, instance),
        watched=[str(log)],
        log_folder=str(log),
        bounds=settings.bounds,
        restart=restart,
        back_off=settings.back_off,
        stop_seconds=settings.stop_seconds,
    )
    return _in_place(order, places, made, log) if box == "none" else order


def _laid_out(service: Service, made: Made, places: Places, instance: int) -> tuple[Path, Path]:
    """Make a fresh root, and the folder of logs if it is not there."""
    root = places.run(service, instance) / "root"
    log = places.log_folder(service)
    log.mkdir(parents=True, exist_ok=True)
    if made.image:
        root.mkdir()
    else:
        shutil.copytree(places.builds(service).files_of(made), root, symlinks=True)
    return root, log


def _mounts(made: Made, places: Places, root: Path, log: Path) -> list[Mount]:
    beside = posixpath.join(made.recipe.directory, "log")
    logs = [
        Mount(source=str(log), target=target, writable=True) for target in dict.fromkeys(("/log", beside))
    ]
    if made.image:
        return logs
    mounts = [Mount(source=str(places.environments / made.environment / "venv"), target=VENV)]
    if (root / "usr/src").is_dir():
        mounts.append(Mount(source=str(root / "usr/src"), target="/usr/src", writable=True))
    return [*mounts, *mounts_of_python(made.prefix), *logs]


def _in_place(order: Order, places: Places, made: Made, log: Path) -> Order:
    """Give the same without a sandbox: paths of the image become paths of this machine."""
    import msgspec

    root = Path(order.root)
    venv = str(places.environments / made.environment / "venv")
    directory = root / order.directory.lstrip("/")
    directory.mkdir(parents=True, exist_ok=True)
    for beside in {root / "log", directory / "log"}:
        if not beside.exists():
            beside.symlink_to(log)
    command = [_outside(word, root, venv) for word in order.command]
    program = Path(venv, "bin", command[0])
    if "/" not in command[0] and program.exists():
        command[0] = str(program)
    changed = {
        "PATH": PATH.replace(VENV, venv),
        "HOME": order.root,
        # The door is at an address of the service's own; inside a sandbox it is always the same.
        "BROKER": order.source_address if order.environment["BROKER"] == INSIDE_BROKER else "",
    }
    return msgspec.structs.replace(
        order,
        command=command,
        directory=str(directory),
        environment={**order.environment, **changed},
        mounts=[],
    )


def _outside(word: str, root: Path, venv: str) -> str:
    if word.startswith(f"{VENV}/"):
        return venv + word[len(VENV) :]
    inside = root / word.lstrip("/")
    return str(inside) if word.startswith("/") and ".." not in word.split("/") and inside.exists() else word
