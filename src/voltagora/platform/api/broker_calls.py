"""Calls that brokers make to ask who may enter and do what; reachable by brokers only."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse

from voltagora.platform.api.bodies import Given, given
from voltagora.platform.api.callers import address_of
from voltagora.platform.api.platform_parts import Parts
from voltagora.platform.api.rabbit import Rabbit
from voltagora.platform.api.replies import Reply
from voltagora.platform.api.schemas import failing, takes
from voltagora.platform.registry.entities import TokenKind
from voltagora.platform.registry.refusals import Refusal
from voltagora.platform.rights import PUB, SUB

BITS: Final = {1: SUB, 2: PUB, 3: SUB | PUB, 4: SUB}
"""By `acc`; 4 is what mosquitto calls subscribing."""
MOST_DEVICE_TOKENS: Final = 100
DEVICE: Final = "device"


def broker_calls(parts: Parts) -> APIRouter:
    """Make the calls."""
    guard = Guard(parts.broker_secret)
    calls = APIRouter(prefix="/mqtt", tags=["brokers"], dependencies=[Depends(guard)])
    entrance, rights, registry = parts.accounts.entrance, parts.rights, parts.registry
    credentials = takes(username_=str, password_=str)
    failures = failing(400)

    @calls.post("/auth", responses=failures, openapi_extra=credentials)
    def auth(request: Request, body: Given = Depends(given)) -> Reply:
        """Say whether a password is the account's."""
        username, password = body.required("username", "password")
        return _yes_or_no(entrance.check(username, password, _origin(request, body)) is not None)

    @calls.post("/devtoken", response_model=str, responses=failures, openapi_extra=credentials)
    def devtoken(request: Request, body: Given = Depends(given)) -> Reply:
        """Make a device token."""
        username, password = body.required("username", "password")
        user = entrance.check(username, password, _origin(request, body))
        if user is None:
            return _yes_or_no(False)
        parts.accounts.refuse_unconfirmed(user)
        # Devices that ask at each start would fill the quota: the oldest of these go.
        old = [
            each for each in registry.tokens(user.id) if each.kind is TokenKind.DEVICE and each.name == DEVICE
        ]
        for each in old[: max(0, len(old) - MOST_DEVICE_TOKENS + 1)]:
            registry.revoke_token(user.id, each.id)
        return Reply(registry.create_token(user.id, TokenKind.DEVICE, DEVICE)[1])

    @calls.post("/devtoken/auth", responses=failures, openapi_extra=credentials)
    def devtoken_auth(request: Request, body: Given = Depends(given)) -> Reply:
        """Say whether a password is the account's, or a token."""
        username, password = body.required("username", "password")
        return _yes_or_no(entrance.enter(username, password, _origin(request, body)) is not None)

    @calls.post(
        "/acl",
        responses=failures,
        openapi_extra=takes(username_=str, topic_=str, acc_=int, clientid=str),
    )
    def acl(body: Given = Depends(given)) -> Reply:
        """Say whether all of `acc` (1 SUB, 2 PUB, 3 both, 4 as 1) are held for a topic or filter."""
        username, topic = body.required("username", "topic")
        acc = body.number("acc")
        if acc is None:
            raise Refusal(400, {"acc": "This field is required."})
        return _yes_or_no(rights.allows(username, topic, BITS.get(acc, 0)))

    @calls.post("/superuser", responses=failures, openapi_extra=takes(username=str))
    def superuser() -> Reply:
        """Nobody is."""
        return _yes_or_no(False)

    _rabbit(calls, Rabbit(entrance, rights))
    return calls


def _rabbit(calls: APIRouter, rabbit: Rabbit) -> None:
    def answer(allowed: bool) -> PlainTextResponse:
        return PlainTextResponse("allow" if allowed else "deny")

    @calls.post("/rabbitmq/user", response_class=PlainTextResponse)
    def user(request: Request, body: Given = Depends(given)) -> PlainTextResponse:
        """Answer RabbitMQ whether somebody may enter."""
        return answer(rabbit.user(body, _origin(request, body)))

    @calls.post("/rabbitmq/vhost", response_class=PlainTextResponse)
    def vhost(body: Given = Depends(given)) -> PlainTextResponse:
        """Answer RabbitMQ whether somebody may use a virtual host: `/` only."""
        return answer(rabbit.vhost(body))

    @calls.post("/rabbitmq/resource", response_class=PlainTextResponse)
    def resource(body: Given = Depends(given)) -> PlainTextResponse:
        """Answer RabbitMQ whether somebody may use an exchange or a queue."""
        return answer(rabbit.resource(body))

    @calls.post("/rabbitmq/topic", response_class=PlainTextResponse)
    def topic(body: Given = Depends(given)) -> PlainTextResponse:
        """Answer RabbitMQ whether somebody may publish with or bind to a routing key."""
        return answer(rabbit.topic(body))


class Guard:
    """Lets brokers on this machine in, and others that send the secret: as a header or as Basic password.

    What comes through a proxy or from a page in a browser is not from a broker on this machine.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret

    async def __call__(self, request: Request) -> None:
        """Refuse everybody else.

        Raises:
            Refusal: 403.
        """
        passed_on = {"x-forwarded-for", "forwarded", "x-real-ip", "origin", "sec-fetch-site"}
        if _is_here(address_of(request)) and not passed_on & set(request.headers):
            return
        shown = request.headers.get("x-broker-secret") or _basic(request.headers.get("authorization", ""))
        if self._secret and hmac.compare_digest(shown.encode(), self._secret.encode()):
            return
        raise Refusal(403, "Not allowed")


def _is_here(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _basic(header: str) -> str:
    kind, _, text = header.partition(" ")
    try:
        words = base64.b64decode(text, validate=True).decode() if kind == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return words.partition(":")[2]


def _origin(request: Request, body: Given) -> str:
    """Give where a client of the broker is.

    A broker that does not tell must not be an address of its own: fifty wrong passwords of one client
    would shut all others out.
    """
    told = body.text("ip") or body.text("peerhost")
    return told or f"{address_of(request)} for {body.text('username')}"


def _yes_or_no(yes: bool) -> Reply:
    return Reply(None, 200 if yes else 403)
