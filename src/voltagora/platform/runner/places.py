"""Where everything of the runner lies in the data folder."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from voltagora.platform.registry.entities import Service
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.runner.builds import Builds
from voltagora.platform.runner.files import Files

_FIRST_UID: Final = 1_900_000_000
_UIDS: Final = 100_000_000
_BUILD_UID: Final = _FIRST_UID + _UIDS
_FOLDER: Final = re.compile(r"[-\w.]{1,255}\Z")


class Places:
    """The folders of the runner.

    Args:
        data: the runner's own folder.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.services = self.data / "services"
        self.runs = self.data / "runs"
        self.environments = self.data / "environments"
        self.copies = self.data / "copies"

    def make(self) -> None:
        """Make the folders; only the platform's user may look into them."""
        for folder in (self.data, self.services, self.runs, self.environments, self.copies):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)

    def folder(self, service: Service) -> Path:
        """Give the folder of a service.

        Raises:
            Refusal: 400, its name on disk is none.
        """
        if not _FOLDER.match(service.folder) or not service.folder.strip("."):
            raise Refusal(400, "Not a valid name")
        return self.services / service.folder

    def files(self, service: Service) -> Files:
        """Give the uploaded files of a service."""
        return Files(self.folder(service))

    def builds(self, service: Service) -> Builds:
        """Give the builds of a service."""
        return Builds(self.folder(service))

    def log_folder(self, service: Service) -> Path:
        """Give the folder that a service sees as `log`."""
        return self.folder(service) / "log"

    def run(self, service: Service, instance: int) -> Path:
        """Give the folder of an instance's run."""
        self.folder(service)
        return self.runs / f"{service.folder}@{instance}"

    def fresh_run(self, service: Service, instance: int) -> Path:
        """Give that folder with nothing of the last run but what was printed."""
        there = self.run(service, instance)
        there.mkdir(exist_ok=True, mode=0o700)
        for each in there.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            elif not each.name.startswith("output.log"):
                each.unlink()
        return there


def uid_of(service: Service) -> int:
    """Give the user that a service runs as, where the platform may choose."""
    return _FIRST_UID + service.id % _UIDS


def uid_of_build(name: str) -> int:
    """Give the user that makes an environment."""
    return _BUILD_UID + int(name[:6], 16)


def source_address(service: Service, instance: int) -> str:
    """Give the loopback address that a service's connections come from.

    The broker waits longer and longer with an address that guesses passwords: one service must not
    have it do so with the others.
    """
    number = service.id * 31 + instance
    return f"127.{64 + (number >> 16) % 64}.{(number >> 8) % 256}.{number % 254 + 1}"
