"""The connector's configuration, in the file with which a standalone worker starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


def read_connector(path: Path) -> dict[str, str]:
    """Read a connector's configuration from the properties file that a standalone worker starts with.

    The file has lines of `name=value`. References such as `${env:X}` stay unchanged, because the worker resolves them.

    Raises:
        SettingsError: the file cannot be read, or a line is not of this form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"connector file {path} cannot be read: {error}") from error
    config: dict[str, str] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith(("#", "!")):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not key or not equals or value.endswith("\\"):
            raise SettingsError(f"connector file {path}, line {number}: write name=value on one line, got '{line}'")
        config[key] = value
    if not config.get("name"):
        raise SettingsError(f"connector file {path} has no name=…: add a line with the connector's name")
    return config
