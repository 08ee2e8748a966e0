"""What RabbitMQ may let its clients do: a topic is the same right under AMQP's names."""

from __future__ import annotations

from typing import Final

from voltagora.platform.accounts.entrance import Entrance
from voltagora.platform.api.bodies import Given
from voltagora.platform.rights import PUB, SUB, PlatformRights

EXCHANGES: Final = ("amq.topic", "SYNAISTHISI_bridge")
BRIDGE: Final = "SYNAISTHISI_bridge"
MOST_CLIENTS: Final = 100_000

_MQTT_QUEUE: Final = "mqtt-subscription-"


class Rabbit:
    """Answers the questions of `rabbitmq_auth_backend_http`.

    Queues of MQTT clients are named by their client id, so a queue is for whoever connected with that
    id last; a stranger who opens it over AMQP is refused. Queues that a client names itself begin with
    its username and a dot.
    """

    def __init__(self, entrance: Entrance, rights: PlatformRights) -> None:
        self._entrance = entrance
        self._rights = rights
        self._clients: dict[str, str] = {}

    def user(self, asked: Given, address: str) -> bool:
        """Whether somebody may enter; a token enters as its principal only, so that its scope holds."""
        username, password = asked.text("username") or "", asked.text("password") or ""
        principal = self._entrance.enter(username, password, address)
        if principal != username:
            return False
        client = asked.text("client_id")
        if client:
            self._clients.pop(client, None)
            self._clients[client] = username
            if len(self._clients) > MOST_CLIENTS:
                del self._clients[next(iter(self._clients))]
        return True

    def vhost(self, asked: Given) -> bool:
        """Whether somebody may use a virtual host."""
        return asked.text("vhost") == "/" and self._rights.knows(asked.text("username") or "")

    def resource(self, asked: Given) -> bool:
        """Whether somebody may configure, write to or read from an exchange, queue or topic."""
        username, name = asked.text("username") or "", asked.text("name") or ""
        if not self.vhost(asked):
            return False
        kind, permission = asked.text("resource"), asked.text("permission")
        if kind == "exchange":
            return name in EXCHANGES and (permission in ("read", "write") or name == BRIDGE)
        if kind == "topic":
            return name in EXCHANGES
        if kind != "queue":
            return False
        if name.startswith(_MQTT_QUEUE):
            client = name.removeprefix(_MQTT_QUEUE).removesuffix("qos0").removesuffix("qos1")
            return self._clients.get(client, username) == username
        return name.startswith((f"{username}.", "amq.gen-"))

    def topic(self, asked: Given) -> bool:
        """Whether somebody may publish with (write) or bind to (read) a routing key."""
        if not self.vhost(asked) or asked.text("name") not in EXCHANGES:
            return False
        bit = {"write": PUB, "read": SUB}.get(asked.text("permission") or "", 0)
        key = asked.text("routing_key") or ""
        if "/" in key or (bit == PUB and ("*" in key or "#" in key)):
            # A name with a `/` is no topic here, and nobody publishes to a wildcard.
            return False
        topic = key.replace(".", "/").replace("*", "+")
        return bit != 0 and self._rights.allows(asked.text("username") or "", topic, bit)
