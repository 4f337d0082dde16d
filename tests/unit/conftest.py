"""A mock cluster for each test that wants one; what a test does to logging and signals is not seen by the next."""

import logging
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import structlog
from hypothesis import settings

from newsroom.waiting import STOP_SIGNALS
from support.cluster import MockCluster

# The same examples in every run: a failure is never by chance, and a slow machine is not one.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def restored_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    configure = structlog.configure

    def without_cache(**options: Any) -> None:  # noqa: ANN401 - structlog's own options
        # A cached logger would keep the configuration of the test that used it first.
        configure(**options | {"cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", without_cache)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def restored_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with closing(MockCluster()) as mock:
        yield mock
