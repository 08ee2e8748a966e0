"""A raw client of the loop, for hubs with real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hub_stage import V5, connect, decode, packet, text

from voltagora.hub import passwords

SECONDS = 10


def run(what: Any) -> Any:
    """Run a coroutine, not for ever."""
    return asyncio.run(asyncio.wait_for(what, SECONDS))


class Line:
    """A raw client of the loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int) -> None:
        self.reader, self.writer, self.version, self.rest = reader, writer, version, b""
        self.heard: list[Any] = []

    @classmethod
    async def open(cls, port: int, version: int = V5, **options: Any) -> Line:
        line = cls(*await asyncio.open_connection("127.0.0.1", port), version)
        if options.pop("greet", True):
            line.writer.write(connect(version=version, **options))
        return line

    async def next(self, kind: str | None = None) -> Any:
        """Wait for a packet; None when the line ends."""
        while True:
            for each in list(self.heard):
                self.heard.remove(each)
                if kind in (None, each.kind):
                    return each
            data = await self.reader.read(65_536)
            if not data:
                return None
            found, self.rest = decode(self.rest + data, self.version)
            self.heard += found

    def close(self) -> None:
        self.writer.close()


def subscribe(topic: str, qos: int = 1) -> bytes:
    return packet(0x82, b"\0\1\0" + text(topic) + bytes((qos,)))


def users_file(folder: Path, *lines: str, password: str = "right") -> Path:
    path = folder / "users.toml"
    stored = passwords.hash_password(password, bytes(16))
    path.write_text(
        "\n".join(line.replace("HASH", f'password = "{stored}"') for line in lines), encoding="utf-8"
    )
    return path


ALICE = ("[users.alice]", "HASH", 'publish = ["a/#"]', 'subscribe = ["a/#"]')
BOB = ("[users.bob]", "HASH", 'publish = ["#"]', 'subscribe = ["#"]', 'deny = ["a/secret"]')
