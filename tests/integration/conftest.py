"""One stack for all integration tests, of its own home and ports, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsroom_stack.settings import StackSettings
from support.pipeline import ProcessPipeline, free_offset, running


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="20 kills in 200,000 records, every experiment, program and fault of the lab",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "whole: runs with --whole alone, because it takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files without the shared stack first: some start a whole stack of their own, and need not run beside it."""
    if not config.getoption("--whole"):
        items[:] = [item for item in items if item.get_closest_marker("whole") is None]
    shared = {item.path for item in items if "pipeline" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path in shared)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPipeline]:
    home: Path = tmp_path_factory.mktemp("stack")
    settings = StackSettings(home=home, port_offset=free_offset(), news_rate=1.0)
    with running(settings) as pipeline:
        yield pipeline
