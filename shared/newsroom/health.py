"""/livez, /readyz and /metrics of a service, on a port of its own, in a daemon thread."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from typing_extensions import override

from newsroom.errors import SettingsError
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from types import TracebackType

log = get_logger(__name__)

LOOP_STALL_SECONDS = 60.0
"""A loop that has not turned for so long hangs: five times the longest wait of any of our loops (a bounded
flush of ten seconds), and well under the 300 s after which Kafka takes a member's partitions away."""


class Health:
    """What /livez and /readyz answer. The service's loop calls `tick` at every turn.

    Alive means that the loop turned lately. Ready means that no named condition is missing: the service says
    `lost` with the reason, and `reached` when the condition holds again.
    """

    def __init__(self, *needs: str) -> None:
        self._lock = threading.Lock()
        self._missing: dict[str, str] = {need: f"waiting for {need}" for need in needs}
        self._last_tick = time.monotonic()

    def tick(self) -> None:
        """The loop turned."""
        self._last_tick = time.monotonic()

    def reached(self, need: str) -> None:
        """A condition of readiness holds."""
        with self._lock:
            self._missing.pop(need, None)

    def lost(self, need: str, why: str) -> None:
        """A condition of readiness does not hold, and why."""
        with self._lock:
            self._missing[need] = why

    def alive(self) -> tuple[bool, dict[str, object]]:
        """Whether the loop turns, and the seconds since it last did."""
        age = time.monotonic() - self._last_tick
        return age < LOOP_STALL_SECONDS, {"loop_age_seconds": round(age, 3)}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether nothing is missing, and what is."""
        with self._lock:
            return not self._missing, {"missing": dict(self._missing)}


class HealthServer:
    """Serves a `Health` and the process's Prometheus metrics until closed. A context manager.

    Raises:
        SettingsError: the port is taken.
    """

    def __init__(self, health: Health, host: str, port: int) -> None:
        handler = type("Handler", (_Handler,), {"health": health})
        try:
            self._server = ThreadingHTTPServer((host, port), handler)
        except OSError as error:
            raise SettingsError(
                f"{host}:{port} cannot be listened on ({error.strerror}): free it, or choose another --http-port"
            ) from error
        self._server.daemon_threads = True
        self._host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        log.info("health and metrics", address=f"http://{self._host}:{self.port}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    health: Health

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._answer(*self.health.alive())
        elif path == "/readyz":
            self._answer(*self.health.ready())
        elif path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(200, content_type, encode(REGISTRY))
        else:
            self._send(404, "text/plain", b"try /livez, /readyz or /metrics\n")

    def _answer(self, good: bool, details: dict[str, object]) -> None:
        body = json.dumps({"status": "ok" if good else "unavailable", **details}).encode()
        self._send(200 if good else 503, "application/json", body + b"\n")

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, *_: object) -> None:
        """Probes come every second: they are not logged."""
