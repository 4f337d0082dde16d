"""The status API's own worker in a thread, over a store that the test fills."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Self

from gunicorn.config import Config
from typing_extensions import override

from newsroom.health import Health
from status_api.app import create_app
from status_api.main import _Logs
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from status_api.worker import Worker

JOIN_SECONDS = 20.0


class _ThreadsWorker(Worker):
    """A worker that leaves the process's signals alone."""

    @override
    def init_signals(self) -> None:
        """A thread has none."""


class _Application:
    def __init__(self, wsgi: Any) -> None:  # noqa: ANN401 - gunicorn is untyped
        self._wsgi = wsgi

    def wsgi(self) -> Any:  # noqa: ANN401 - gunicorn is untyped
        return self._wsgi


class Served:
    """Serves while it is entered. `stop` and `start` are a restart on the same port, over the same store."""

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store
        self.settings = StatusSettings()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve in a thread."""
        config = Config()
        config.set("threads", 4)
        config.set("graceful_timeout", 3)
        config.set("sendfile", False)
        self.app = create_app(self.store, Health(), self.settings)
        application = _Application(self.app)
        self.worker = _ThreadsWorker(1, os.getppid(), [self._listener.dup()], application, 30, config, _Logs(config))
        self._thread = threading.Thread(target=self._run, name="served")
        self._thread.start()

    def _run(self) -> None:
        self.worker.init_process()
        self.worker.tmp.close()

    def stop(self) -> float:
        """Stop as SIGTERM does, and return the seconds that it took."""
        began = time.monotonic()
        self.worker.handle_exit(15, None)
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive()
        return time.monotonic() - began

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self.stop()
        self._listener.close()
