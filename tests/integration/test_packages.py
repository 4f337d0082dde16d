"""Each service installs alone, into an empty environment, and runs there outside the clone."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from newsroom_stack.layout import REPOSITORY
from support.pipeline import ProcessPipeline
from support.waiting import wait_for

UV = Path(sys.executable).parent / "uv"
LOCKS = REPOSITORY / "requirements"
INSTALL_SECONDS = 120
STOP_SECONDS = 30
STREAMS = {"wordcount-stream", "join-service"}


@pytest.fixture
def outside(tmp_path: Path, pipeline: ProcessPipeline) -> dict[str, str]:
    """The variables of somebody who has no clone, at our cluster."""
    return {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "NEWSROOM_BOOTSTRAP_SERVERS": pipeline.ports.bootstrap,
        "NEWSROOM_REGISTRY_URL": pipeline.ports.registry_url,
    }


def install(service: str, folder: Path) -> Path:
    """Install a service with nothing beside it but what it declares; its environment's folder of commands."""
    environment = folder / "environment"
    subprocess.run([UV, "venv", "--quiet", environment], check=True, timeout=INSTALL_SECONDS)
    done = subprocess.run(
        [
            *(UV, "pip", "install", "--python", environment / "bin" / "python"),
            # uv builds a folder again only when its pyproject.toml is newer.
            *("--refresh-package", "newsroom-kafka-shared", "--refresh-package", f"newsroom-kafka-{service}"),
            *("--constraint", LOCKS / "dev.lock", "--build-constraint", LOCKS / "build.lock"),
            REPOSITORY / "services" / service,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return environment / "bin"


@pytest.mark.parametrize(("service", "options"), [("news-producer", ["--count", "1"]), ("provision", [])])
def test_a_program_that_ends_finds_what_it_needs(
    service: str, options: list[str], tmp_path: Path, outside: dict[str, str]
) -> None:
    program = install(service, tmp_path) / service
    done = subprocess.run(
        [program, *options], cwd=tmp_path, env=outside, capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sink = ("kafka-connect-configs", "connect-file-sink.properties")
    code = f"from newsroom.places import packaged; print(packaged{sink})"
    done = subprocess.run(
        [program.parent / "python", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file = Path(done.stdout.strip())
    assert file.is_relative_to(tmp_path)
    assert file.read_text(encoding="utf-8") == REPOSITORY.joinpath(*sink).read_text()


@pytest.mark.parametrize("service", ["avro-consumer", "wordcount-stream", "join-service", "status-api"])
def test_a_service_that_stays_becomes_ready(
    service: str, tmp_path: Path, outside: dict[str, str], pipeline: ProcessPipeline
) -> None:
    program = install(service, tmp_path) / service
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    # The streams join the stack's own groups, as one more replica: others would count everything once more.
    streams = {"NEWSROOM_STATE_DIR": str(pipeline.layout.state(service))} if service in STREAMS else {}
    others = {"avro-consumer": ["--group", "outside"]}.get(service, [])
    if streams:  # it loads this only when its group lets it wait
        late = [str(program.parent / "python"), "-c", "import newsroom.admin.members"]
        subprocess.run(late, cwd=tmp_path, check=True, timeout=60)
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "--http-port", str(port), *others],
            cwd=tmp_path,
            env=outside | streams,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        wait_for(f"{service} ready", ready, 90)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
