"""mqtt.js over TCP and WebSocket, and Paho JavaScript in a real Chromium, on the same journey."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from users import users_file

from brokers import RunningHub, missing, program, running_hub

HERE = Path(__file__).parent / "node"
NODE = Path(__file__).resolve().parents[3] / "build" / "node-mqtt"
SECONDS = 60

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running_hub(websocket="127.0.0.1:0", users=users_file(Path(folder), ada="right")) as found,
    ):
        yield found


def package(name: str) -> Path:
    found = NODE / "node_modules" / name
    if not found.exists():
        missing(f"the npm package {name} in {NODE}")
    return found


def hexed(text: str) -> str:
    return text.encode().hex()


def expected(prefix: str) -> dict[str, Any]:
    return {
        "round": [[f"{prefix}/round/{qos}", f"00ff0{qos}", qos, False] for qos in (0, 1, 2)],
        "retained": [[f"{prefix}/kept", hexed("value"), 1, True]],
        "will": [[f"{prefix}/will", hexed("gone"), 1, False]],
    }


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize("way", ["mqtt", "ws"])
def test_mqtt_js(hub: RunningHub, way: str, version: str) -> None:
    package("mqtt")
    port = hub.port if way == "mqtt" else hub.hub.websocket_port
    prefix = f"js/{way}/{version}"
    command = ["node", str(HERE / "journey.cjs"), str(NODE), f"{way}://127.0.0.1:{port}", version, prefix]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen.pop("refused") == (4 if version == "4" else 0x86)
    assert seen.pop("present") is True
    assert seen.pop("queued") == ["waits1", "waits2"]
    assert seen == expected(prefix)


class Page(BaseHTTPRequestHandler):
    """Serves the page and its library; takes what the page has to say; cuts a client's line for it."""

    hub: RunningHub
    files: dict[str, Path]
    said: queue.Queue[dict[str, Any]]

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/cut":
            client = parse_qs(path.query)["client"][0]
            self.hub.call(lambda hub: cut(hub, client))
            self._reply(b"")
        elif path.path in self.files:
            self._reply(self.files[path.path].read_bytes())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(b"")
        self.said.put(json.loads(body))

    def _reply(self, body: bytes) -> None:
        self.send_response(200)
        kind = "text/javascript" if self.path.endswith(".js") else "text/html; charset=utf-8"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def cut(hub: Any, client: str) -> None:
    """Cut a line as a network does."""
    for session in hub.broker.sessions:
        if session.client == client and session.connection is not None:
            session.connection.link.close(abort=True)


def test_paho_javascript_in_chromium(hub: RunningHub, tmp_path: Path) -> None:
    Page.hub, Page.said = hub, queue.Queue()
    Page.files = {
        "/": HERE / "journey.html",
        "/paho-mqtt.js": package("paho-mqtt") / "paho-mqtt.js",
    }
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or program("chromium")
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/?port={hub.hub.websocket_port}"
        command = [browser, *CHROMIUM_FLAGS, f"--user-data-dir={tmp_path / 'profile'}", url]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            seen = Page.said.get(timeout=SECONDS)
        finally:
            running.terminate()
            running.wait(20)
            server.shutdown()
    assert "error" not in seen, seen
    # Paho tells a CONNACK that refuses by its own number 6.
    assert seen.pop("refused") == 6
    assert seen.pop("queued") == [hexed("waits1"), hexed("waits2")]
    assert seen == expected("paho")
