"""Where files lie: those that the package brings, and a service's state. No place depends on the current folder."""

from __future__ import annotations

import os
from pathlib import Path

_ABOVE = Path(__file__).resolve().parents[2]
CLONE = _ABOVE if (_ABOVE / "docker-compose.yml").is_file() else None
"""The clone that this package runs from, or None where it was installed as a wheel."""


def packaged(folder: str, name: str) -> Path:
    """A file that the wheel brings, such as the schema of news; in a clone it is the clone's own file."""
    return (CLONE or Path(__file__).parent / "files") / folder / name


def state_folder(service: str) -> Path:
    """The default folder for a service's state: in the clone's `.newsroom`, or the user's state folder (XDG)."""
    if CLONE:
        return CLONE / ".newsroom" / "data" / "state" / service
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "newsroom" / service


def short(path: Path) -> str:
    """The path as a reader wants it: below the current folder without it, below the home folder with `~`."""
    for start, sign in ((Path.cwd(), Path()), (Path.home(), Path("~"))):
        if path.is_relative_to(start):
            return str(sign / path.relative_to(start))
    return str(path)
