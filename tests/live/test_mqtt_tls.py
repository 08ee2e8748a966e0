"""The transport over TLS: who is trusted, by whom, and what a broker that is not never sees."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mqtt_stage import (
    SECONDS,
    Authority,
    Ear,
    Proxy,
    at,
    connack,
    joined,
    mosquitto,
    say,
    until,
)

from brokers import running_hub
from voltagora.domain.errors import VoltAgoraError
from voltagora.live.broker_url import BrokerUrl, Tls
from voltagora.live.mqtt import MqttTransport


@pytest.fixture(params=[5, 4], ids=["v5", "v311"])
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strange"), "stranger")


async def _round(port: int, tls: Tls, version: int = 5) -> Ear:
    async with joined(at(port, scheme="mqtts", tls=tls), "x", "a/#", version=version) as (transport, ear):
        for number in range(300):
            say(transport, number)
        await until(lambda: len(ear.arrivals) == 300)
    return ear


@contextlib.contextmanager
def _secured(kind: str, folder: Path, authority: Authority, more: str = "") -> Iterator[int]:
    cert, key = authority.certify("broker")
    if kind == "hub":
        with running_hub(tls_cert=cert, tls_key=key) as hub:
            yield hub.port
    else:
        # The listener line comes first; what follows here is of the same listener.
        lines = f"cafile {authority.ca}\ncertfile {cert}\nkeyfile {key}\n{more}"
        with mosquitto(folder, lines) as broker:
            yield broker.port


@pytest.mark.parametrize("kind", ["hub", "mosquitto"])
def test_a_broker_with_a_certificate_is_trusted_by_its_authority_only(
    kind: str, tmp_path: Path, authority: Authority, stranger: Authority, version: int
) -> None:
    with _secured(kind, tmp_path, authority) as port:
        asyncio.run(_round(port, Tls(ca=authority.ca), version))
        for tls in (Tls(ca=stranger.ca), Tls()):
            with pytest.raises(VoltAgoraError, match=r"no secure connection: .*certificate verify failed"):
                asyncio.run(asyncio.wait_for(_round(port, tls, version), SECONDS))


def test_a_certificate_for_another_host_is_not_taken(tmp_path: Path, authority: Authority) -> None:
    with _secured("mosquitto", tmp_path, authority) as port:
        url = BrokerUrl.parse(f"mqtts://127.0.0.2:{port}", tls=Tls(ca=authority.ca))

        async def scene() -> None:
            # Who is led to it under a name that its certificate does not bear must not stay.
            async with Proxy(port, "127.0.0.2") as proxy:
                misled = msgspec.structs.replace(url, port=proxy.port)
                with pytest.raises(
                    VoltAgoraError, match=r"no secure connection: .*not valid for '127\.0\.0\.2'"
                ):
                    await asyncio.wait_for(MqttTransport(misled, client_id="x").open(Ear()), SECONDS)

        asyncio.run(scene())


def test_a_client_can_show_a_certificate_and_is_refused_without(
    tmp_path: Path, authority: Authority, stranger: Authority
) -> None:
    cert, key = authority.certify("me")
    false_cert, false_key = stranger.certify("me")
    with _secured("mosquitto", tmp_path, authority, "require_certificate true") as port:
        asyncio.run(_round(port, Tls(ca=authority.ca, cert=cert, key=key)))
        for tls in (Tls(ca=authority.ca), Tls(ca=authority.ca, cert=false_cert, key=false_key)):
            with pytest.raises(VoltAgoraError, match="no secure connection"):
                asyncio.run(asyncio.wait_for(_round(port, tls), SECONDS))


def test_secrets_are_never_sent_to_a_broker_without_tls_in_its_place() -> None:
    async def scene() -> None:
        seen: list[bytes] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(await reader.read(65_536))
            writer.write(connack())
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            url = at(server.sockets[0].getsockname()[1], "me:hunter2@", "mqtts")
            with pytest.raises(VoltAgoraError, match="no secure connection"):
                await asyncio.wait_for(MqttTransport(url, client_id="x").open(Ear()), SECONDS)
        await asyncio.sleep(0.01)
        assert seen
        assert b"hunter2" not in b"".join(seen)

    asyncio.run(scene())
