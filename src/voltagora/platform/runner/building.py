"""Builds services: by the simple lines of their Dockerfile, or by a container engine."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path
from typing import Final

import msgspec

from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner import engine, pythons
from voltagora.platform.runner.builds import Builds, Made, plan
from voltagora.platform.runner.environments import CERTIFICATES, SOURCE, VENV, Environments
from voltagora.platform.runner.keepers import Kept
from voltagora.platform.runner.orders import PROXY_PORT, Mount, Order, Subject
from voltagora.platform.runner.places import Places, uid_of_build
from voltagora.platform.runner.sandbox import INSIDE
from voltagora.platform.runner.settings import Settings

AT_ONCE: Final = 2
"""Builds that run at the same time."""
UNFINISHED: Final = "build-"
"""Begins the folders of builds that run; those of services hold an `@` and these do not."""
_INSTALL: Final = Path(__file__).with_name("install.py")


class Building:
    """Builds services.

    Args:
        places: where everything lies.
        settings: of the operator.
        box: as in an order.
    """

    def __init__(self, places: Places, settings: Settings, box: str) -> None:
        self._places = places
        self._settings = settings
        self._box = box
        layout = "" if box == "bubblewrap" else "in place"
        self.environments = Environments(places.environments, settings.index, self._install, layout)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._pythons: tuple[pythons.Python, ...] = ()

    async def build(self, service: Service, *, nearest_python: bool, nearest_pins: bool) -> None:
        """Build what lies in a service's folder; the build before is dropped first.

        Raises:
            Refusal: 400 with what the builder said.
        """
        builds = self._places.builds(service)
        self._places.folder(service).mkdir(parents=True, exist_ok=True)
        builds.drop_current()
        builds.log.write_text("")
        async with self._at_once:
            try:
                if self._box not in ("bubblewrap", "none"):
                    await self._by_engine(service, builds)
                else:
                    await self._by_lines(service, builds, nearest_python, nearest_pins)
            except Refusal as error:
                _add(builds.log, f"\n{error}\n")
                raise

    async def _by_engine(self, service: Service, builds: Builds) -> None:
        version = builds.next_version()
        image = f"{engine.image_name(service)}:{version}"
        recipe = await engine.build(self._box, image, self._places.files(service).files, builds.log)
        made = Made(version=version, built_at=time.time(), recipe=recipe, python=image, image=image)
        builds.keep(made, {}, [])

    async def _by_lines(
        self, service: Service, builds: Builds, nearest_python: bool, nearest_pins: bool
    ) -> None:
        files = self._places.files(service)
        # Looked for at each build: somebody may have installed one since.
        self._pythons = await pythons.find()
        planned = await asyncio.to_thread(plan, files, self._pythons, nearest_python=nearest_python)
        for note in planned.notes:
            _add(builds.log, f"{note}\n")
        _add(builds.log, f"Python {planned.python.name}\n")
        name, notes = await self.environments.get(
            planned.python, planned.wanted, files.files, builds.log, nearest_pins=nearest_pins
        )
        for note in notes:
            _add(builds.log, f"{note}\n")
        version = builds.next_version()
        made = Made(
            version=version,
            built_at=time.time(),
            recipe=planned.recipe,
            python=planned.python.name,
            prefix=planned.python.prefix,
            interpreter=planned.python.executable,
            environment=name,
            notes=(*planned.notes, *notes),
        )
        folders = list(planned.recipe.folders)
        await asyncio.to_thread(builds.keep, made, planned.places, folders)
        _add(builds.log, f"Build {version} is ready.\n")

    async def _install(
        self, python: pythons.Python, steps: list[list[str]], venv: Path, source: Path, log: Path
    ) -> int:
        """Run the steps of an installation in a sandbox whose only way out leads to the index."""
        name = venv.parent.name
        folder = self._places.runs / f"{UNFINISHED}{name}"
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        (folder / "root").mkdir(parents=True)
        folder.chmod(0o700)
        order = self._order(python, steps, venv, source, folder / "root")
        try:
            kept = await Kept.begin(folder, order, lambda _: None)
        except OSError as error:
            raise Refusal(400, f"The build failed:\n{error}") from None
        try:
            await kept.over.wait()
        except asyncio.CancelledError:
            await kept.stop(1.0)
            raise
        finally:
            for part in (kept.output.with_name(f"{kept.output.name}.1"), kept.output):
                if part.exists():
                    _add(log, part.read_text(errors="replace"))
            await kept.leave()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if kept.standing.reason.startswith(("killed", "cannot", "signal")):
            _add(log, f"{kept.standing.reason}\n")
        return 1 if kept.standing.code is None else kept.standing.code

    def _order(
        self, python: pythons.Python, steps: list[list[str]], venv: Path, source: Path, root: Path
    ) -> Order:
        settings, inside = self._settings, self._box == "bubblewrap"
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108
        mounts = [
            Mount(source=str(source), target=SOURCE),
            Mount(source=str(venv), target=VENV, writable=True),
            Mount(source=str(_INSTALL), target=f"{INSIDE}/install.py"),
            *mounts_of_python(python.prefix),
        ]
        if inside:
            proxy = f"http://127.0.0.1:{PROXY_PORT}"
            environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
        if settings.index.certificates is not None:
            bundle = str(settings.index.certificates.resolve())
            environment["PIP_CERT"] = CERTIFICATES if inside else bundle
            mounts.append(Mount(source=bundle, target=CERTIFICATES))
        installer = f"{INSIDE}/install.py" if inside else str(_INSTALL)
        if not inside:
            real = {VENV: str(venv), SOURCE: str(source), "/tmp": str(root)}  # noqa: S108
            real[CERTIFICATES] = str(settings.index.certificates)
            steps = [[_in_place(word, real) for word in step] for step in steps]
        own = settings.own_users and inside
        return Order(
            subject=Subject(folder="build"),
            box=self._box,
            root=str(root),
            interpreter=python.executable,
            command=[python.executable, "-I", installer, msgspec.json.encode(steps).decode()],
            directory="/" if inside else str(root),
            environment=environment,
            mounts=mounts,
            uid=uid_of_build(venv.parent.name) if own and runs_as_root() else None,
            index_hosts=settings.index.reached(),
            source_address="127.63.255.254",
            watched=[str(venv)],
            bounds=settings.build_bounds,
        )


def mounts_of_python(prefix: str) -> list[Mount]:
    """Give what must be mounted for a Python to be seen where it is; nothing if it is the system's."""
    if prefix == "/usr" or prefix.startswith("/usr/"):
        return []
    return [Mount(source=prefix, target=prefix)]


def runs_as_root() -> bool:
    """Whether this process may give others another user."""
    import os

    return os.geteuid() == 0


def _in_place(word: str, real: dict[str, str]) -> str:
    for inside, outside in real.items():
        if word == inside or word.startswith(f"{inside}/"):
            return outside + word[len(inside) :]
    return word


def _add(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)
