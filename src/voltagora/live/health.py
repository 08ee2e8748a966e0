"""Whether a process is well, over HTTP: `/healthz` for whoever restarts it, `/metrics` for Prometheus."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from voltagora.agents.exchange import protocol_counts
from voltagora.domain.errors import InputError, MissingExtra
from voltagora.domain.units import Time
from voltagora.hub.errors import SetupError
from voltagora.hub.options import host_and_port

if TYPE_CHECKING:
    from voltagora.live.process import Process

PATIENCE_SECONDS: Final = 2.0
"""A process that does not answer itself within this time hangs."""
MOST_SECONDS: Final = 10
"""How long a client may take to ask."""

Counts = Mapping[str, Mapping[str, int]]
"""Further counts, by name and then by what they are of."""


class Health:
    """Answers for one process for as long as it is open.

    What is said is made in the process's own event loop, so a process that hangs does not look well.

    Args:
        process: whose health it is.
        address: `HOST:PORT`; port 0 takes a free one.
        counts: further counts for `/metrics`.

    Raises:
        InputError: the address cannot be opened.
        MissingExtra: prometheus_client is not installed.
    """

    def __init__(self, process: Process, address: str, counts: Counts | None = None) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise MissingExtra("live", "--http") from None
        registry = prometheus_client.CollectorRegistry()
        registry.register(_Figures(process, counts or {}))
        self._process = process
        self._began = int(time.time())
        self._registry = registry
        self._server = _server(address, self.answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The port it is reached at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Health:
        """Answer; entered in the process's event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> Answer:
        """Answer a request; called in threads of the server."""
        make = {"/healthz": self._state, "/metrics": self._metrics}.get(path.partition("?")[0])
        if make is None:
            return Answer(404, "text/plain", b"/healthz or /metrics\n")
        assert self._loop is not None
        made: Future[Answer] = Future()
        try:
            self._loop.call_soon_threadsafe(_make, made, make)
            return made.result(PATIENCE_SECONDS)
        except (TimeoutError, RuntimeError):  # It hangs, or has just ended.
            return Answer(503, "application/json", b'{"responding": false}')

    def _state(self) -> Answer:
        process = self._process
        well = process.is_connected and not process.is_unsaved
        state = {
            "connected": process.is_connected,
            "connection_changed_at": _utc(process.connection_changed_at),
            "started": process.has_started,
            "finished": process.has_finished,
            "simulated_time": _utc(process.node.exchange.now),
            "journal": process.journal_path,
            "saved": not process.is_unsaved,
            "running_since": _utc(self._began),
        }
        return Answer(200 if well else 503, "application/json", json.dumps(state).encode())

    def _metrics(self) -> Answer:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Answer(200, CONTENT_TYPE_LATEST, generate_latest(self._registry))


class Answer(NamedTuple):
    """What a client gets."""

    status: int
    content_type: str
    body: bytes


def _make(made: Future[Answer], make: Callable[[], Answer]) -> None:
    try:
        made.set_result(make())
    except Exception as error:
        made.set_exception(error)


def _utc(seconds: float | None) -> str | None:
    return str(Time(int(seconds))) if seconds else None


class _Figures:
    """What Prometheus is told, read when it asks."""

    def __init__(self, process: Process, counts: Counts) -> None:
        self._process = process
        self._counts = counts

    def collect(self) -> Iterator[Any]:
        """Give the figures."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        process = self._process
        node = process.node
        failed = node.counts["failed"]
        for name, about, value in (
            ("arrivals", "Publications that came", process.arrivals),
            ("publications", "Publications made by the agents here", process.publications),
            ("failures", "Messages with which an agent here failed", failed),
        ):
            yield CounterMetricFamily(f"voltagora_{name}", about, value=value)
        refused = {why: count for why, count in node.counts.items() if why != "failed"}
        yield _by("not_taken", "Publications that were not taken", "reason", refused)
        yield _by("messages", "Messages of the agents here", "protocol", protocol_counts(node.exchange))
        for name, counts in self._counts.items():
            yield _by(name, f"Of the agents here: {name}", "outcome", counts)
        now = process.clock.now() if process.has_started else 0
        due = node.next_due
        for name, about, gauge in (
            ("connected", "Whether there is a connection", process.is_connected),
            ("started", "Whether the market has begun", process.has_started),
            ("saved", "Whether all is in the journal", not process.is_unsaved),
            ("awaited_requests", "Requests with replies missing", node.exchange.awaited),
            ("outbox", "Publications that wait for the broker", process.unsent),
            ("simulated_time_seconds", "Simulated time, UTC", now),
            ("lag_seconds", "How late what is due is, simulated", max(0, now - due) if now and due else 0),
        ):
            yield GaugeMetricFamily(f"voltagora_{name}", about, value=float(gauge))


def _by(name: str, about: str, label: str, counts: Mapping[str, int]) -> Any:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(f"voltagora_{name}", about, labels=[label])
    for key, count in counts.items():
        family.add_metric([str(key)], count)
    return family


def _server(address: str, answer: Callable[[str], Answer]) -> ThreadingHTTPServer:
    try:
        host, port = host_and_port("--http", address)
    except SetupError as error:
        raise InputError("--http", address, error.expected) from None
    kind = _ServerOverIpv6 if ":" in host else ThreadingHTTPServer
    try:
        return kind((host, port), lambda *arguments: _Handler(answer, *arguments))
    except OSError as error:
        raise InputError("--http", address, f"HOST:PORT that can be opened ({error.strerror})") from None


class _ServerOverIpv6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    timeout = MOST_SECONDS
    server_version = "voltagora"
    sys_version = ""

    def __init__(self, answer: Callable[[str], Answer], *arguments: Any) -> None:
        self._answer = answer
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer."""
        status, content_type, body = self._answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
