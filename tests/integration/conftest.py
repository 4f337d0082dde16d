"""One stack for all integration tests, of its own home and ports, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import LineProgress
from newsroom_stack.processes.stack import ProcessStack
from newsroom_stack.settings import StackSettings
from support.pipeline import ProcessPipeline, free_offset


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--whole",
        action="store_true",
        help="20 kills in 200,000 records, every experiment, program and fault of the lab",
    )


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessPipeline]:
    home: Path = tmp_path_factory.mktemp("stack")
    settings = StackSettings(home=home, port_offset=free_offset(), news_rate=5.0)
    ensure_artifacts(settings.cache, LineProgress())
    lines: list[str] = []
    owner = ProcessStack(settings).start(show=lines.append)
    try:
        yield ProcessPipeline(settings)
    finally:
        code = owner.stop()
    assert code == 0, lines
