"""Make stack/newsroom_stack/jvm/jars/jgo.lock.toml anew from jgo.toml: exact versions and checksums, no address."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from jgo.env._lockfile import LockFile  # not exported, as of jgo 3.2
from jgo.maven import MavenContext, PythonResolver

JARS = Path(__file__).resolve().parent.parent / "stack" / "newsroom_stack" / "jvm" / "jars"
REGISTRY = "io.apicurio:apicurio-registry-app:3.3.3:tar.gz:all"
"""The registry's distribution: one archive with everything in it, so it has no dependencies to resolve."""


def main() -> None:
    """Resolve, download, hash, write."""
    coordinates = tomllib.loads((JARS / "jgo.toml").read_text(encoding="utf-8"))["dependencies"]["coordinates"]
    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), resolver=PythonResolver(), timeout=60)
        inputs, transitive = context.resolver.resolve(
            [context.create_dependency(coordinate) for coordinate in coordinates]
        )
        artifacts = sorted({str(dependency.artifact): dependency for dependency in [*inputs, *transitive]}.items())
        dependencies = [dependency for _, dependency in artifacts]
        group, name, version, packaging, classifier = REGISTRY.split(":")
        artifact = context.project(group, name).at_version(version).artifact(classifier, packaging)
        dependencies.append(type(inputs[0])(artifact, None, False, [], raw=True))
        for number, dependency in enumerate(dependencies, 1):
            print(f"{number}/{len(dependencies)} {dependency.artifactId} {dependency.version}", flush=True)
            dependency.artifact.resolve()
        LockFile.from_resolved_dependencies(dependencies, environment_name="newsroom").save(JARS / "jgo.lock.toml")


if __name__ == "__main__":
    main()
