"""MQTT over WebSocket (section 6): frames by the `websockets` library, lines by ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from voltagora.hub.line import Line, address_of

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker

SUBPROTOCOLS: Final = (Subprotocol("mqtt"), Subprotocol("mqttv3.1"))

_LOG: Final = logging.getLogger("voltagora.hub.websocket")
_LOG.setLevel(logging.ERROR)  # The library logs frames, and frames hold payloads.


class WebSocketLine(Line, asyncio.Protocol):
    """A socket whose bytes are frames that hold the packets."""

    __slots__ = ("_origins", "_websocket")

    def __init__(self, broker: Broker, lines: set[Any], origins: Sequence[str]) -> None:
        super().__init__(broker, lines)
        self._origins = origins
        self._websocket = ServerProtocol(
            subprotocols=SUBPROTOCOLS,
            select_subprotocol=_choose,
            max_size=broker.limits.packet_bytes * 4,
            logger=_LOG,
        )

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        websocket = self._websocket
        websocket.receive_data(data)
        for event in websocket.events_received():
            if isinstance(event, Request):
                self._greet(event)
            else:
                self._take(event)
        self._write()
        if websocket.eof_sent or websocket.state is State.CLOSED or websocket.close_expected():
            self._lose()

    def _greet(self, request: Request) -> None:
        websocket = self._websocket
        if websocket.eof_sent:
            # What stood behind the request was no frame, and the library has given up already.
            return
        origins, hosts = (request.headers.get_all(name) for name in ("Origin", "Host"))
        if len(origins) > 1 or len(hosts) > 1:
            websocket.send_response(websocket.reject(HTTPStatus.BAD_REQUEST, "a header is given twice\n"))
        elif same_origin(next(iter(origins), None), next(iter(hosts), None), self._origins):
            websocket.send_response(websocket.accept(request))
        else:
            self._broker.report("fault", what="WebSocket from a foreign origin", address=self._address)
            websocket.send_response(websocket.reject(HTTPStatus.FORBIDDEN, "foreign origin\n"))

    def _take(self, frame: object) -> None:
        assert isinstance(frame, Frame)
        assert self._connection is not None
        if self._websocket.state is State.CONNECTING:
            # It came together with a request that was refused.
            return
        if frame.opcode in (Opcode.BINARY, Opcode.CONT):
            self._connection.receive(bytes(frame.data))
        elif frame.opcode is Opcode.TEXT:
            # "If any other type of data frame is received the recipient MUST close" (section 6).
            self._websocket.fail(CloseCode.UNSUPPORTED_DATA, "MQTT needs binary frames")

    def _write(self) -> None:
        assert self._transport is not None
        for data in self._websocket.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()

    @property
    def _address(self) -> str:
        assert self._transport is not None
        return address_of(self._transport)

    def send(self, data: bytes) -> None:
        """Send bytes as one binary frame; a WebSocket may split packets as it likes."""
        if self._websocket.state is State.OPEN:
            self._websocket.send_binary(data)
            self._write()

    def _say_goodbye(self) -> None:
        if self._websocket.state is State.OPEN:
            self._websocket.send_close(CloseCode.NORMAL_CLOSURE)
            self._write()


def _choose(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return next((each for each in offered if each in SUBPROTOCOLS), None)


def same_origin(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """Whether a page may open a WebSocket here: one of this host (any port), or of an origin named.

    Without this, any page a user visits could speak to a hub on the user's own machine. Programs
    send no origin.
    """
    if origin is None or origin in allowed:
        return True
    try:
        name = urlsplit(origin).hostname
        own = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    return name is not None and name == own
