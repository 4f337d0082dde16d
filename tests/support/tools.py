"""Programs that a few tests look with and no lock brings: the machine has them, or the test says what to install."""

import os
import shutil
from pathlib import Path

import pytest


def need(tool: str, package: str, *folders: Path) -> str:
    """The path of a program; without it the test is skipped with the Debian package's name, and in CI it fails.

    `folders` are looked at before the search path.
    """
    path = shutil.which(tool, path=os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
    if path is not None:
        return path
    message = f"{tool} is not on this machine: apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
