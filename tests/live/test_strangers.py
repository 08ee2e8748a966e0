"""A vehicle and a station that know nothing of the package book with each other in a market of ours."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from strangers import lay_out, need_node, stranger

from voltagora import Hub

SECONDS = 40
PLUG = "a plug that nobody else has"


def here_it_is_noon() -> tuple[str, str]:
    """Name a time zone in which it is about noon, and its date: then the day's prices are known."""
    ahead = 12 - datetime.now(UTC).hour
    today = datetime.now(timezone(timedelta(hours=ahead))).date()
    return f"Etc/GMT{-ahead:+d}", today.isoformat()


async def said(hub: Hub, topic: str, ready: asyncio.Event) -> dict[str, Any]:
    async with hub.messages(topic) as messages:
        ready.set()
        async for message in messages:
            return json.loads(message.payload)
    raise AssertionError(topic)


async def printed_line(printed: Path, word: str) -> dict[str, Any]:
    while True:
        for line in printed.read_text(encoding="utf-8").splitlines():
            if word in line:
                return json.loads(line)
        await asyncio.sleep(0.05)


async def market(stack: AsyncExitStack, url: str, folder: Path) -> None:
    zone, today = here_it_is_noon()
    words = ["live", "quickstart", "--set", f"start={today}", "--set", f"time_zone={zone}", "--speed", "1"]
    words += [
        "--only",
        "recommender,imbalance,pricing,producer,consumer",
        "--start",
        "--quiet",
        "--broker",
        url,
    ]
    output = stack.enter_context((folder / "market").open("wb"))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from voltagora.cli.main import main; main()", *words),
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
    )

    async def end() -> None:
        if process.returncode is None:
            process.terminate()
        await process.wait()

    stack.push_async_callback(end)


async def a_booking(folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(mqtt="127.0.0.1:0"))
        url = f"mqtt://127.0.0.1:{hub.mqtt_port}"
        events = {topic: asyncio.Event() for topic in TOPICS}
        news = {topic: asyncio.create_task(said(hub, topic, ready)) for topic, ready in events.items()}
        await asyncio.gather(*(ready.wait() for ready in events.values()))
        options = ("--id", "cs-stranger", "--network", "agora", "--grid-area", "village")
        options += ("--connector", f"{PLUG}=22")
        await stack.enter_async_context(stranger(lay_out(folder / "cs"), "station.py", url, *options))
        await market(stack, url, folder)
        registered = await news["SR/cs-stranger/RegistrationOutcome"]
        await news["MD/ElectricityPrices"]
        options = ("--id", "ev-stranger", "--recommenders", "sr-agora,sr-lamppost", "--connector-type", PLUG)
        printed = await stack.enter_async_context(
            stranger(lay_out(folder / "ev"), "vehicle.mjs", url, *options, "--arrives-in-hours", "1")
        )
        booked = await printed_line(printed, "booked")
        counted = await news["EI/cs-stranger/UpdateScheduleOutcome"]
        return registered, booked, counted


TOPICS = (
    "SR/cs-stranger/RegistrationOutcome",
    "MD/ElectricityPrices",
    "EI/cs-stranger/UpdateScheduleOutcome",
)


def test_both_strangers_book_in_a_live_market(tmp_path: Path) -> None:
    need_node()

    registered, booked, counted = asyncio.run(a_booking(tmp_path))

    assert registered["accepted"]
    assert booked["station"] == "cs-stranger"
    assert booked["booked"].startswith("sr-agora-")
    assert counted["responder"] == "ei-village"
    assert counted["accepted"]
