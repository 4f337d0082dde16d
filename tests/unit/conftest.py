"""A mock cluster for each test that wants one; what one test does to logging is not seen by the next."""

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest
import structlog
from hypothesis import settings

from support.cluster import MockCluster

# The same examples in every run: a failure is never by chance, and a slow machine is not one.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with closing(MockCluster()) as mock:
        yield mock
