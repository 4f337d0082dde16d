"""What is tested is what ships: each image's lock holds versions of the development lock, hashes, and no address."""

import re
import tomllib
from pathlib import Path

import pytest

from newsroom_stack.layout import REPOSITORY

FOLDER = REPOSITORY / "requirements"
LOCKS = sorted(FOLDER.glob("*.lock"))
MEMBERS = sorted(path.parent for path in REPOSITORY.glob("services/*/pyproject.toml"))
PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)", re.MULTILINE)


def pins(name: str) -> dict[str, str]:
    return dict(PINNED.findall((FOLDER / f"{name}.lock").read_text()))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_version_is_the_tested_one_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    assert "://" not in text
    assert text.count("==") <= text.count("--hash=sha256:")
    tested = pins("dev")
    own = pins(lock.stem)
    assert own
    assert {package: version for package, version in own.items() if tested.get(package, version) != version} == {}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_every_dependency_of_a_service_is_in_its_images_lock(member: Path) -> None:
    wanted = [*_dependencies(member), *_dependencies(REPOSITORY / "shared")]
    assert {package for package in wanted if package != "newsroom-kafka-shared"} <= set(pins(member.name))


def _dependencies(folder: Path) -> list[str]:
    declared = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.split(r"[\[<>=~ ]", requirement)[0] for requirement in declared]
