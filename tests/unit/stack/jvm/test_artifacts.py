"""Broken downloads and damaged caches, with a Maven repository on the loopback."""

import hashlib
import io
import os
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jgo.maven import MavenContext
from typing_extensions import override

from newsroom_stack.errors import ArtifactsUnavailable
from newsroom_stack.jvm import artifacts
from newsroom_stack.jvm.artifacts import Artifacts, ensure_artifacts
from newsroom_stack.jvm.progress import DownloadProgress
from support.waiting import wait_for
from support.web import Request, Web

JAR = b"a jar, as far as a checksum can tell" * 1000
ONE = "/org/example/one/1.0/one-1.0.jar"
TWO = "/org/example/two/2.0/two-2.0.jar"
REGISTRY = f"/io/apicurio/{artifacts.REGISTRY_ARTIFACT}/3.3.3/{artifacts.REGISTRY_ARTIFACT}-3.3.3-all.tar.gz"


def registry_archive() -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        entry = tarfile.TarInfo("quarkus-run.jar")
        entry.size = len(JAR)
        tar.addfile(entry, io.BytesIO(JAR))
    return archive.getvalue()


class Recorder(DownloadProgress):
    """Records what a download reports."""

    def __init__(self) -> None:
        self.files = self.bytes = 0
        self.lines: list[str] = []
        self.complete: bool | None = None

    @override
    def start(self, files: int, total_bytes: int) -> None:
        self.files = files

    @override
    def advance(self, count: int) -> None:
        self.bytes += count

    @override
    def say(self, line: str) -> None:
        self.lines.append(line)

    @override
    def done(self, *, complete: bool) -> None:
        self.complete = complete


class Repository(Web):
    """Serves files. The bodies in `bad` are served first, each once."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self.serve)
        self.cache = folder / "cache"
        self.files = {ONE: JAR + b"1", TWO: JAR + b"2", REGISTRY: registry_archive()}
        self.bad: dict[str, list[bytes]] = {}
        self.cut: dict[str, int] = {}
        """How often a path's connection still closes halfway."""
        self.endless: set[str] = set()
        """Paths whose download never ends."""

    @property
    def requests(self) -> list[str]:
        """The files that were asked for."""
        return [path for path in self.paths if path in self.files]

    def fetch(self, recorder: Recorder | None = None) -> Artifacts:
        """Fill the cache, as a start of the stack does."""
        return ensure_artifacts(self.cache, recorder or Recorder())

    def left_over(self) -> list[Path]:
        """What downloads have left in the cache."""
        return list(self.cache.glob("staging-*"))

    def serve(self, request: Request) -> None:
        path = request.path
        if path not in self.files:
            request.reply(404)
            return
        body = self.bad[path].pop(0) if self.bad.get(path) else self.files[path]
        length = 10**9 if path in self.endless else len(body)
        if self.cut.get(path, 0) > 0:
            self.cut[path] -= 1
            body = body[: len(body) // 2]
        with suppress(ConnectionError):  # the client has gone
            request.reply(200, body, {"Content-Length": str(length)})
            while path in self.endless:
                request.wfile.write(body)
                time.sleep(0.01)

    def lock(self, folder: Path) -> Path:
        entries = [("org.example", "one", "1.0", ONE), ("org.example", "two", "2.0", TWO)]
        entries.append(("io.apicurio", artifacts.REGISTRY_ARTIFACT, "3.3.3", REGISTRY))
        lock = folder / "jgo.lock.toml"
        lock.write_text(
            "".join(
                f'[[dependencies]]\ngroupId = "{group}"\nartifactId = "{name}"\nversion = "{version}"\n'
                f'packaging = "{"jar" if path.endswith("jar") else "tar.gz"}"\n'
                + ("" if path.endswith("jar") else 'classifier = "all"\n')
                + f'sha256 = "{hashlib.sha256(self.files[path]).hexdigest()}"\n'
                for group, name, version, path in entries
            )
        )
        return lock


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    # The machine's proxy cannot reach the loopback.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(artifacts, "PAUSE_SECONDS", 0.01)
    with Repository(tmp_path) as repository:
        monkeypatch.setattr(artifacts, "LOCK_FILE", repository.lock(tmp_path))
        monkeypatch.setattr(artifacts, "MavenContext", partial(MavenContext, remote_repos={"test": repository.url}))
        yield repository


def test_everything_is_fetched_verified_and_unpacked(repository: Repository) -> None:
    recorder = Recorder()
    files = repository.fetch(recorder)
    assert [path.read_bytes() for path in files.kafka_classpath] == [repository.files[ONE], repository.files[TWO]]
    assert (files.registry_home / "quarkus-run.jar").read_bytes() == JAR
    assert files.java.exists()
    assert (recorder.files, recorder.complete) == (3, True)
    assert recorder.bytes == sum(map(len, repository.files.values()))
    assert not repository.left_over()


def test_a_warm_start_neither_downloads_nor_unpacks(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repository.fetch()
    repository.paths.clear()
    monkeypatch.setattr(tarfile, "open", lambda path: pytest.fail(f"unpacked {path}"))
    assert repository.fetch() == first
    assert repository.requests == []


def test_a_corrupt_download_is_fetched_again(repository: Repository) -> None:
    repository.bad[ONE] = [b"<html>a captive portal</html>"]
    recorder = Recorder()
    files = repository.fetch(recorder)
    assert files.kafka_classpath[0].read_bytes() == repository.files[ONE]
    assert repository.requests.count(ONE) == 2
    assert any("one-1.0.jar" in line for line in recorder.lines)
    assert recorder.bytes == sum(map(len, repository.files.values())), "a broken file's bytes are taken back"


def test_a_download_that_is_cut_is_fetched_again(repository: Repository) -> None:
    repository.cut[REGISTRY] = 1
    files = repository.fetch()
    assert (files.registry_home / "quarkus-run.jar").read_bytes() == JAR
    assert repository.requests.count(REGISTRY) == 2


def test_a_file_that_is_always_wrong_ends_with_a_clear_error(repository: Repository) -> None:
    repository.files[TWO] = b"replaced upstream"
    with pytest.raises(ArtifactsUnavailable, match=r"two 2\.0 is not in .*checksum") as caught:
        repository.fetch()
    assert "\n" not in str(caught.value)
    assert repository.requests.count(TWO) == artifacts.TRIES
    assert not list(repository.cache.glob("jars/*/two-*"))
    assert not repository.left_over()


def test_no_network_and_no_cache_says_what_to_do(repository: Repository) -> None:
    repository.close()
    recorder = Recorder()
    with pytest.raises(ArtifactsUnavailable, match="the first start needs the network; with a proxy") as caught:
        repository.fetch(recorder)
    assert recorder.lines == [], "only the error reports it"
    assert recorder.complete is False
    assert "\n" not in str(caught.value)
    assert repository.url not in str(caught.value)


def test_ctrl_c_does_not_wait_for_a_download(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.endless.add(REGISTRY)
    recorder = Recorder()
    all_started = threading.Event()

    class Pool(ThreadPoolExecutor):
        @override
        def map(self, *arguments: Any, **options: Any) -> Iterator[Any]:
            results = super().map(*arguments, **options)
            all_started.set()
            return results

    monkeypatch.setattr(artifacts, "ThreadPoolExecutor", Pool)

    def interrupt() -> None:
        wait_for("the first bytes", lambda: all_started.is_set() and recorder.bytes)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        repository.fetch(recorder)
    assert recorder.complete is False
    assert not repository.left_over()


def test_what_came_before_the_network_went_is_kept(repository: Repository) -> None:
    two = repository.files.pop(TWO)
    with pytest.raises(ArtifactsUnavailable):
        repository.fetch()
    repository.files[TWO] = two
    repository.paths.clear()
    repository.fetch()
    assert repository.requests == [TWO]


@pytest.mark.parametrize("damage", [b"", JAR, b"x" * (len(JAR) + 1)], ids=["empty", "cut", "same size"])
def test_a_damaged_cached_file_is_replaced(repository: Repository, damage: bytes) -> None:
    one = repository.fetch().kafka_classpath[0]
    repository.paths.clear()
    times = one.stat()
    one.write_bytes(damage)
    os.utime(one, ns=(times.st_atime_ns, times.st_mtime_ns))
    repository.fetch()
    assert one.read_bytes() == repository.files[ONE]
    assert repository.requests == [ONE]


def test_a_registry_that_was_damaged_after_it_was_unpacked_is_unpacked_again(repository: Repository) -> None:
    run = repository.fetch().registry_home / "quarkus-run.jar"
    for damage in (JAR[:100], JAR[::-1]):
        run.write_bytes(damage)
        assert repository.fetch().registry_home == run.parent
        assert run.read_bytes() == JAR
    run.unlink()
    repository.fetch()
    assert run.read_bytes() == JAR


def test_an_unpacked_registry_without_a_listing_in_its_name_is_replaced(repository: Repository) -> None:
    home = repository.fetch().registry_home
    half = home.rename(repository.cache / home.name.rpartition("-")[0])
    assert repository.fetch().registry_home == home
    assert not half.exists()


def test_what_a_killed_start_left_is_removed(repository: Repository) -> None:
    dead = repository.cache / "staging-dead"
    dead.mkdir(parents=True)
    (dead / "half.jar").write_bytes(JAR[:100])
    repository.fetch()
    assert not repository.left_over()


def test_two_starts_at_once_fetch_everything_once(repository: Repository) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = [Recorder(), Recorder()]
        first, second = pool.map(repository.fetch, both)
    assert first == second
    assert any("waiting" in line for recorder in both for line in recorder.lines)
    assert sorted(repository.requests) == sorted(repository.files)
