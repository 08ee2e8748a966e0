"""Prometheus: the hub's counters and figures at `http://HOST:PORT/metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from voltagora.hub.errors import SetupError

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker


class Metrics(Collector):
    """Reads the counters when asked; counting costs nothing but an addition.

    Raises:
        SetupError: the address cannot be opened.
    """

    def __init__(self, broker: Broker, host: str, port: int) -> None:
        self._broker = broker
        registry = CollectorRegistry()
        registry.register(self)
        try:
            # It has a thread of its own, and reads plain integers.
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise SetupError(
                "metrics", f"{host}:{port}", f"an address that can be opened ({error})"
            ) from None
        self.port: int = self._server.server_port

    def collect(self) -> Iterable[Any]:
        """Give all metrics."""
        counters = self._broker.counters
        for name, value in self._broker.figures().items():
            yield GaugeMetricFamily(f"hub_{name}", f"Now: {name.replace('_', ' ')}.", value=value)
        for name in (
            "connections_accepted",
            "bytes_received",
            "bytes_sent",
            "takeovers",
            "commits",
            "failed_commits",
        ):
            yield CounterMetricFamily(
                f"hub_{name}", f"{name.replace('_', ' ')}.", value=getattr(counters, name)
            )
        yield _by("hub_published", "Messages taken.", "qos", dict(enumerate(counters.published)))
        yield _by("hub_delivered", "Messages sent.", "qos", dict(enumerate(counters.delivered)))
        for name in ("logins_refused", "closed", "refused", "dropped"):
            yield _by(f"hub_{name}", f"{name.replace('_', ' ')}.", "reason", dict(getattr(counters, name)))

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=1.0)


def _by(name: str, words: str, label: str, values: Mapping[Any, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, words, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
