"""Rights for RabbitMQ: what its plugin `rabbitmq_auth_backend_http` asks, answered `allow` or `deny`.

Over MQTT a topic `a/b` is the routing key `a.b` on the exchange `amq.topic`, and a filter's `+` is
its `*`. A topic with a `.` of its own could not be told from one with a `/`, so it is denied.

RabbitMQ finds a session by the client id alone, and its messages wait in a queue named after it. So
that nobody takes another's, a client id must be the user's name, or begin with it and a `+`.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

from voltagora.hub.errors import PacketError
from voltagora.hub.rights import Login, Rights, owner_of
from voltagora.hub.topics import parse_filter

log = logging.getLogger("voltagora.brokers")

ALLOW: Final = "allow"
DENY: Final = "deny"
EXCHANGE: Final = "amq.topic"
QUEUE: Final = re.compile(r"mqtt-subscription-(.*)qos[01]", re.DOTALL)
QUESTIONS: Final = ("user", "vhost", "resource", "topic")
"""What RabbitMQ asks, each at a path of its own: `auth_http.user_path`, and so on."""
MOST_BODY: Final = 65_536

Fields = Mapping[str, str]


class RabbitRights:
    """Answers of one table of rights.

    Args:
        rights: who may do what.
        vhost: the only virtual host there is.
    """

    def __init__(self, rights: Rights, vhost: str = "/") -> None:
        self.rights = rights
        self.vhost = vhost
        # A password's hash takes 16 MiB; a flood of logins waits in line.
        self._hashing = threading.BoundedSemaphore(2)

    def answer(self, path: str, fields: Fields) -> str:
        """Answer one question: path and form as RabbitMQ sends them."""
        ask = {
            "/auth/user": self._user,
            "/auth/vhost": self._vhost,
            "/auth/resource": self._resource,
            "/auth/topic": self._topic,
        }.get(path)
        return ALLOW if ask is not None and ask(fields) else DENY

    def _user(self, fields: Fields) -> bool:
        user, client = fields.get("username", ""), fields.get("client_id", "")
        if not user or (client and owner_of(client) != user):
            return False
        login = Login(user, fields.get("password", "").encode(), client, "")
        with self._hashing:
            return self.rights.may_connect(login) == user

    def _vhost(self, fields: Fields) -> bool:
        return fields.get("vhost") == self.vhost

    def _resource(self, fields: Fields) -> bool:
        """Let MQTT have its exchange and the queues of its subscriptions, and nothing of AMQP's."""
        if not self._vhost(fields):
            return False
        kind, name, wish = (fields.get(word, "") for word in ("resource", "name", "permission"))
        if kind == "exchange":
            return name == EXCHANGE and wish in ("read", "write")
        queue = QUEUE.fullmatch(name) if kind == "queue" else None
        return queue is not None and owner_of(queue[1]) == fields.get("username")

    def _topic(self, fields: Fields) -> bool:
        user, key = fields.get("username", ""), fields.get("routing_key", "")
        if not self._vhost(fields) or fields.get("name") != EXCHANGE or "/" in key:
            return False
        text = key.replace(".", "/").replace("*", "+")
        try:
            wanted = parse_filter(text)
        except PacketError:
            return False
        if fields.get("permission") == "write":
            return "+" not in text and "#" not in text and self.rights.may_publish(user, text)
        return fields.get("permission") == "read" and self.rights.may_subscribe(user, wanted)


class RabbitServer:
    """The same over HTTP, for as long as it is open; meant for loopback addresses.

    Args:
        answers: who answers.
        host, port: where; port 0 takes a free one.
    """

    def __init__(self, answers: RabbitRights, host: str = "127.0.0.1", port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"answers": answers})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port it is reached at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> RabbitServer:
        """Answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    answers: RabbitRights
    protocol_version = "HTTP/1.1"
    timeout = 10

    def do_GET(self) -> None:
        """Answer a question in the address."""
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        """Answer a question in a form."""
        size = self.headers.get("Content-Length", "0")
        if not size.isdecimal() or int(size) > MOST_BODY:
            self.send_error(413)
            return
        self._answer(self.rfile.read(int(size)).decode("utf-8", "replace"))

    def _answer(self, form: str) -> None:
        fields = {name: values[0] for name, values in parse_qs(form, keep_blank_values=True).items()}
        answer = self.answers.answer(urlsplit(self.path).path, fields).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: questions hold passwords."""
