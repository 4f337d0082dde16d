"""/livez, /readyz and /metrics of a service, on its own port, in a daemon thread."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder
from typing_extensions import override

from newsroom.errors import SettingsError
from newsroom.logs import get_logger

log = get_logger(__name__)

READY_STALL_SECONDS = 15.0
"""A loop that has not turned for this long is not ready: longer than the longest wait of our loops (a flush of ten
seconds), so that nobody is called unready who only waits."""

LOOP_STALL_SECONDS = 60.0
"""A loop that has not turned for this long hangs. The limit is five times the longest wait of our loops (a flush of
ten seconds), and well under the 300 s after which Kafka takes a member's partitions away."""

END_SECONDS = 0.1
"""How often the server looks whether it shall end: the end of every service waits so long. Python's default is 0.5."""


class Health:
    """What /livez and /readyz answer. The service's loop calls `tick` at every turn.

    Alive means that the loop turned lately. Ready means that every need is met, and that the loop does not stand
    still: the service calls `lost` with the reason when a need is not met, and `reached` when it is.
    """

    def __init__(self, *needs: str) -> None:
        # Other threads read this dict, and each operation on it is atomic.
        self._missing: dict[str, str] = {need: f"waiting for {need}" for need in needs}
        self._last_tick = time.monotonic()

    def tick(self) -> None:
        """Note that the loop turned."""
        self._last_tick = time.monotonic()

    def reached(self, need: str) -> None:
        """Note that a need is met."""
        self._missing.pop(need, None)

    def lost(self, need: str, why: str) -> None:
        """Note that a need is not met, and why."""
        self._missing[need] = why

    def lacks(self, need: str) -> bool:
        """Whether a need is not met."""
        return need in self._missing

    def alive(self) -> tuple[bool, dict[str, object]]:
        """Whether the loop turns, and the seconds since its last turn."""
        age = time.monotonic() - self._last_tick
        return age < LOOP_STALL_SECONDS, {"loop_age_seconds": round(age, 3)}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether every need is met, and the reason for each that is not."""
        missing = dict(self._missing)
        age = time.monotonic() - self._last_tick
        # A service that still waits for its first turn says what it waits for.
        if not missing and age > READY_STALL_SECONDS:
            missing["loop"] = f"the loop has not turned for {age:.0f} s"
        return not missing, {"missing": missing}


def cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    """The error of a service whose own address is taken, or is not an address of this machine."""
    return SettingsError(
        f"cannot listen on {host}:{port}: {error.strerror}; free the port, or choose another with --http-port",
        address=f"{host}:{port}",
    )


class HealthServer(ThreadingHTTPServer):
    """Serves a `Health` and the process's Prometheus metrics until closed. A context manager.

    Raises:
        SettingsError: another process uses the port.
    """

    daemon_threads = True

    def __init__(self, health: Health, host: str, port: int) -> None:
        self.health = health
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        self.port: int = self.server_address[1]
        self._address = f"http://{host}:{self.port}"

    @override
    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(END_SECONDS,), name="health", daemon=True).start()
        log.info("health and metrics", address=self._address)
        return self

    @override
    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HealthServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/livez":
            self._answer(*self.server.health.alive())
        elif path == "/readyz":
            self._answer(*self.server.health.ready())
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
        """Log nothing: probes come every second."""
