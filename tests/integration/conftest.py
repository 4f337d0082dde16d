"""One stack for all integration tests, of its own home and ports, started once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from newsroom_stack.artifacts import ensure_artifacts
from newsroom_stack.layout import Ports, StackSettings
from newsroom_stack.processes import ProcessStack, stop_owned
from newsroom_stack.progress import LineProgress
from newsroom_stack.supervisor import port_is_free
from pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OFFSETS = range(1000, 15000, 700)
"""Where a test stack may move its ports, beside a stack that the developer runs."""


def free_offset() -> int:
    """An offset at which every port of a stack is free."""
    for offset in OFFSETS:
        ports = Ports(offset)
        wanted = [*ports.brokers, *ports.controllers, ports.registry, ports.registry_health, ports.connect]
        wanted += [ports.status, *(ports.service(first, 1) for first in (8100, 8110, 8120, 8130))]
        if all(port_is_free(port) for port in wanted):
            return offset
    raise AssertionError(f"no free ports at any of the offsets {list(OFFSETS)}")


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    home: Path = tmp_path_factory.mktemp("stack")
    settings = StackSettings(home=home, port_offset=free_offset(), news_rate=5.0)
    ensure_artifacts(settings.cache, LineProgress())
    lines: list[str] = []
    supervisor = ProcessStack(settings).start(detach=False, show=lines.append)
    try:
        yield Pipeline(settings)
    finally:
        stop_owned(supervisor)
    assert supervisor.returncode == 0, lines
