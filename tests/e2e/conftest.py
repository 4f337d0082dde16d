"""One compose project for all end-to-end tests, built and started from nothing; its logs are kept on failure."""

import os
import re
import shutil
import time
from collections.abc import Generator, Iterator

import pytest

from e2e.network import ContainerPipeline
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.ports import Ports, reserved
from newsroom_stack.settings import StackSettings
from support.pipeline import free_offset
from support.waiting import wait_for

BUILD_SECONDS = 1200.0
"""Five images from nothing, with every dependency downloaded."""

HEAL_SECONDS = 180.0

LAST_LINES = 8

LOGS = REPOSITORY / ".newsroom" / "e2e-logs"

PROJECT: list[ContainerPipeline] = []
"""The project that is up, for the logs of a test that fails."""

ORDER = ("test_stack", "test_story", "test_lab", "test_scaling", "test_faults", "test_engine", "test_volumes")
"""What a first start looks like is seen before anything is broken, and data is deleted last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [item for item in items if item.path.stem in ORDER]
    rest = [item for item in items if item not in ours]
    items[:] = rest + sorted(ours, key=lambda item: ORDER.index(item.path.stem))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and PROJECT:
        report.sections.append(("containers that are not ready", unready(PROJECT[0])))
        keep_logs(PROJECT[0], re.sub(r"\W+", "-", item.name).strip("-"))
    return report


@pytest.fixture(scope="session")
def project() -> Iterator[ContainerPipeline]:
    """Images built, nothing started."""
    offset = free_offset()
    os.environ["COMPOSE_FILE"] = "docker-compose.yml:compose.e2e.yml"
    # Its volumes are deleted: never those of a second clone that is stopped just now.
    os.environ["COMPOSE_PROJECT_NAME"] = f"newsroom-e2e-{offset}"
    made = ContainerPipeline(StackSettings(port_offset=offset, news_rate=5.0, docker=True))
    # While the project is down, an outgoing connection must not get its brokers' ports.
    with reserved(Ports(offset).brokers):
        try:
            made.stack.compose.run("build", "--quiet", seconds=BUILD_SECONDS)
            made.stack.down(wipe=True)
            PROJECT.append(made)
            yield made
        finally:
            PROJECT.clear()
            made.stack.down(wipe=True)
            made.stack.close()
            del os.environ["COMPOSE_FILE"], os.environ["COMPOSE_PROJECT_NAME"]


@pytest.fixture(scope="session")
def pipeline(project: ContainerPipeline) -> Iterator[ContainerPipeline]:
    """Everything up and ready, in one try."""
    started = time.monotonic()
    project.stack.up()
    print(f"\nup from nothing in {time.monotonic() - started:.0f} s")  # noqa: T201
    project.connect()
    yield project
    project.agent.close()


@pytest.fixture(autouse=True)
def ready(request: pytest.FixtureRequest) -> None:
    """A test begins when what the one before did to the stack has healed: one that fails must not fail others."""
    if "pipeline" in request.fixturenames:
        pipeline: ContainerPipeline = request.getfixturevalue("pipeline")
        pipeline.mend()
        wait_for("everything is ready", pipeline.all_ready, HEAL_SECONDS)


def unready(project: ContainerPipeline) -> str:
    """What is not ready now, with its last lines: the reader of a failure may not have the files."""
    lines = []
    try:
        for instance in project.stack.ps():
            if not instance.ready:
                last = [line for _, line in project.stack.logs(instance.name)][-LAST_LINES:]
                lines += [
                    f"{instance.name}: {instance.state}, {instance.restarts} restarts",
                    *(f"    {line}" for line in last),
                ]
        lines += [
            f"{container.name}: a process was killed because the container's memory was full"
            for container in project.stack.containers()
            if container.attrs["State"].get("OOMKilled")
        ]
    except Exception as error:  # noqa: BLE001 - whatever the engine says, the failure itself must be told
        lines.append(f"{type(error).__name__}: {error}")
    return "\n".join(lines) or "none"


def keep_logs(project: ContainerPipeline, test: str) -> None:
    """Write what every container has said until now to a file of its own, before the next test replaces some."""
    folder = LOGS / test
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for name, line in project.stack.logs():
            with (folder / f"{name}.log").open("a") as log:
                log.write(line + "\n")
    except Exception as error:  # noqa: BLE001 - as above
        (folder / "error.log").write_text(f"{type(error).__name__}: {error}")
    print(f"\nlogs of all containers: {folder}")  # noqa: T201 - pytest shows it below the failure
