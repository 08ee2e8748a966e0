"""Says which process holds a port of this machine, where the system tells."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"
_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")


def port_holder(address: str) -> str:
    """Give `; mosquitto (process 123) has it`, or an empty text where that cannot be known."""
    port = address.rpartition(":")[2]
    if not port.isdecimal():
        return ""
    inodes = _listening(int(port))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = {str(each.readlink()) for each in (process / "fd").iterdir()}
            if links & inodes:
                name = (process / "comm").read_text().strip()
                return f"; {name} (process {process.name}) has it"
        except OSError:
            continue  # Another user's, or gone.
    return "; another process has it" if inodes else ""


def _listening(port: int) -> set[str]:
    found = set()
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
