"""Whether a process is well, over HTTP: `/healthz` for whoever restarts it, `/metrics` for Prometheus."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from voltagora.domain.errors import InputError, MissingExtra
from voltagora.domain.units import Time

if TYPE_CHECKING:
    from voltagora.live.process import Process


class Health:
    """Answers for one process for as long as it is open.

    Args:
        process: whose health it is.
        address: `HOST:PORT`; port 0 takes a free one.

    Raises:
        InputError: the address cannot be opened.
        MissingExtra: prometheus_client is not installed.
    """

    def __init__(self, process: Process, address: str) -> None:
        try:
            import prometheus_client
        except ImportError:
            raise MissingExtra("live", "--http") from None
        registry = prometheus_client.CollectorRegistry()
        registry.register(_Figures(process))
        self._process = process
        self._began = time.time()
        self._registry = registry
        host, _, port = address.rpartition(":")
        handler = type("Handler", (_Handler,), {"health": self})
        try:
            self._server = ThreadingHTTPServer((host, int(port)), handler)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError("--http", address, f"HOST:PORT that can be opened ({error})") from None
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port it is reached at."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Health:
        """Answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Give status, type and body for a path."""
        if path == "/metrics":
            from prometheus_client import generate_latest

            return 200, "text/plain; version=0.0.4", generate_latest(self._registry)
        if path != "/healthz":
            return 404, "text/plain", b"/healthz or /metrics\n"
        process = self._process
        state = {
            "connected": process.is_connected,
            "started": process.has_started,
            "finished": process.has_finished,
            "saved": not process.is_unsaved,
            "simulated_time": str(Time(process.node.exchange.now)),
            "seconds": round(time.time() - self._began, 1),
        }
        well = process.is_connected and not process.is_unsaved
        return 200 if well else 503, "application/json", json.dumps(state).encode()


class _Figures:
    """What Prometheus is told, read when it asks."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def collect(self) -> Iterator[Any]:
        """Give the figures."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        process = self._process
        for name, about, value in (
            ("arrivals", "Publications that came", process.arrivals),
            ("publications", "Publications made by the agents here", process.publications),
        ):
            yield CounterMetricFamily(f"voltagora_{name}", about, value=value)
        refused = CounterMetricFamily("voltagora_not_taken", "What was not taken, by why", labels=["why"])
        for why, count in list(process.node.counts.items()):
            refused.add_metric([why], count)
        yield refused
        for name, about, gauge in (
            ("connected", "Whether there is a connection", float(process.is_connected)),
            ("awaited_requests", "Requests with replies missing", float(process.node.exchange.awaited)),
            ("outbox", "Publications that wait for the broker", float(process.unsent)),
            ("simulated_time_seconds", "Simulated time, UTC", float(process.node.exchange.now)),
        ):
            yield GaugeMetricFamily(f"voltagora_{name}", about, value=gauge)


class _Handler(BaseHTTPRequestHandler):
    health: Health
    timeout = 10

    def do_GET(self) -> None:
        """Answer."""
        status, kind, body = self.health.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""
