"""A stack for the faults, of its own home and ports, with the articles of a test's own load alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from newsroom_stack.settings import StackSettings
from support.pipeline import ProcessPipeline, free_offset, running

SEEDS = range(1, 6)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--figures", default="", help="all faults of five seeds; their times are appended to this file")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", SEEDS if metafunc.config.getoption("--figures") else SEEDS[:1])


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[ProcessPipeline]:
    # One stack a run: the audit reads every topic from its beginning.
    settings = StackSettings(home=tmp_path / "home", port_offset=free_offset(), news_rate=0.1)
    with running(settings) as pipeline:
        yield pipeline
