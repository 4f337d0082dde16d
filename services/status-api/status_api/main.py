"""Starts the status API: gunicorn with one worker, which also runs the threads that read the cluster."""

from __future__ import annotations

import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger as GunicornLogger
from typing_extensions import override

from newsroom.errors import LastingFailure
from newsroom.health import Health, cannot_listen
from newsroom.logs import get_logger
from status_api.process import share_memory, shorten_pauses

if TYPE_CHECKING:
    from flask import Flask

    from newsroom.waiting import StopFlag
    from status_api.settings import StatusSettings
    from status_api.threads import ReaderThreads

log = get_logger(__name__)

THREADS = 8
"""Requests do not wait for Kafka, but for one at a time that looks at records: few threads serve many clients."""
GRACE_SECONDS = 3
"""How long a stop waits for running requests; with the threads' five seconds it takes less than ten."""
BACKLOG = 128
GUESS = " Perhaps out of memory?"
"""What gunicorn guesses of every worker that SIGKILL ended, also when the parent itself or a user sent it."""


class _Logs(GunicornLogger):  # type: ignore[misc]
    """Sends gunicorn's log records through our logging."""

    @override
    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True
        self.error_log.setLevel(logging.WARNING)

    @override
    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        if msg.endswith(GUESS):
            self.warning("the process that serves the page (pid %s) was ended by %s", *args)
        else:
            super().error(msg, *args, **kwargs)


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's parent process. SIGHUP ends it as SIGTERM does; gunicorn would load the application again.

    It ends with its worker if that ends with this code, which is gunicorn's for an application that cannot be loaded.
    """

    APP_LOAD_ERROR = LastingFailure.exit_code

    @override
    def init_signals(self) -> None:
        hangup = signal.getsignal(signal.SIGHUP)
        super().init_signals()
        if hangup is signal.SIG_IGN:  # started by `nohup`
            signal.signal(signal.SIGHUP, hangup)

    @override
    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        if exit_status == self.APP_LOAD_ERROR:
            self.log.error_log.setLevel(logging.CRITICAL)  # the worker has said why; gunicorn blames the application
        super().halt(reason, exit_status)

    @override
    def handle_hup(self) -> None:
        self.handle_term()


class StatusServer(BaseApplication):  # type: ignore[misc]
    """gunicorn around the Flask application. The worker makes clients and threads, after the fork."""

    def __init__(self, settings: StatusSettings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._threads: ReaderThreads | None = None
        super().__init__()

    @override
    def run(self) -> None:
        _Arbiter(self).run()

    @override
    def load_config(self) -> None:
        values: dict[str, Any] = {
            # `listen` has already opened the socket, so that a taken port ends in our own error.
            "bind": f"fd://{self._listener.fileno()}",
            "worker_class": "status_api.worker.Worker",
            "workers": 1,
            "threads": THREADS,
            "graceful_timeout": GRACE_SECONDS,
            "control_socket_disable": True,
            # A header such as SCRIPT_NAME must not change what a path means: no proxy stands before this service.
            "forwarder_headers": "",
            "sendfile": False,  # the worker itself sends every answer, as fast as the client takes it
            "logger_class": _Logs,
            "worker_exit": self._worker_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    @override
    def load(self) -> Flask:
        # gunicorn's parent does not need the Kafka clients, which are most of the memory.
        from status_api.store import SnapshotStore  # noqa: PLC0415
        from status_api.threads import ReaderThreads  # noqa: PLC0415

        share_memory()
        settings = self._settings
        store, health = SnapshotStore(settings.refresh), Health()
        self._threads = ReaderThreads(settings, store, health)
        self._threads.start()
        # Imported while the threads connect: Flask takes longer to import than the Kafka client.
        from status_api.app import create_app  # noqa: PLC0415

        app = create_app(store, health, settings)
        shorten_pauses()
        return app

    def _worker_exit(self, _: object, __: object) -> None:
        # gunicorn calls this in the worker and again in its parent, which has no threads to stop.
        if self._threads is not None:
            self._threads.stop()


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address.

    Raises:
        SettingsError: the address is taken or does not belong to this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise cannot_listen(host, port, error) from error


def run(settings: StatusSettings, _: StopFlag) -> None:
    """Serve until a stop signal. From here on gunicorn handles the signals and ends the process with 0."""
    listener = listen(settings.http_host, settings.http_port)
    address = settings.public_url or f"http://{settings.http_host}:{listener.getsockname()[1]}"
    log.info("status page, API and metrics: open the address in a browser", address=address)
    StatusServer(settings, listener).run()
