"""Logins beside user and password: a client certificate, and tokens. The services do their work with each."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsroom.access import Right
from newsroom.errors import LastingFailure
from newsroom.topics import ALL_TOPICS
from newsroom_stack.pipeline.observe import Observer
from support.logins import certificate_login, hand_out, token_login
from support.pipeline import ANSI
from support.secured import SecuredBroker
from support.waiting import wait_for
from support.web import Web

pytestmark = pytest.mark.timeout(200)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with SecuredBroker(tmp_path_factory.mktemp("logins"), ()) as broker:
        broker.create(*(topic.name for topic in ALL_TOPICS))
        everything = [Right("ALL", "topic", "*"), Right("ALL", "group", "*"), Right("ALL", "transactional-id", "*")]
        broker.allow({"CN=localhost": everything, "wordcount": everything})
        yield broker


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Web]:
    with Web(hand_out) as web:
        yield web


@contextmanager
def started(
    name: str, folder: Path, environment: Mapping[str, str], *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A service, whose output goes to `folder/name.log`."""
    program = str(Path(sys.executable).parent / name)
    variables = dict(environment) | {"HOME": str(folder), "NEWSROOM_STATE_DIR": str(folder / name)}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([program, *options], stdout=log, stderr=log, env=variables, cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def written(folder: Path, name: str) -> str:
    return ANSI.sub("", (folder / f"{name}.log").read_text())


@pytest.mark.parametrize("kind", ["certificate", "token"])
def test_a_stream_counts_what_a_producer_sends_with_this_login(
    broker: SecuredBroker, endpoint: Web, tmp_path: Path, kind: str
) -> None:
    environment = certificate_login(broker) if kind == "certificate" else token_login(broker, endpoint)
    observer = Observer(broker.addresses["plaintext"])
    before = sum(observer.end_offsets("word-counts").values())
    with (
        started("wordcount-stream", tmp_path, environment, "--news-topic", "none"),
        started("news-producer", tmp_path, environment, "--format", "string") as producer,
    ):
        assert producer.wait(60) == 0, written(tmp_path, "news-producer")
        wait_for("the counts", lambda: sum(observer.end_offsets("word-counts").values()) > before, 60)
    assert ("/token" in endpoint.paths) == (kind == "token")


def test_a_wrong_secret_is_a_sentence(broker: SecuredBroker, endpoint: Web, tmp_path: Path) -> None:
    environment = token_login(broker, endpoint, "wrong")
    with started("news-producer", tmp_path, environment, "--format", "string") as process:
        assert process.wait(60) == LastingFailure.exit_code, written(tmp_path, "news-producer")
    log = written(tmp_path, "news-producer")
    assert "the login of user wordcount with --sasl-mechanism OAUTHBEARER at localhost" in log
    assert "check --sasl-oauthbearer-*" in log
    assert "Traceback" not in log
