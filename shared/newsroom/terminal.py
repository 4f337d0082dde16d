"""What every command does about the terminal that it writes to."""

from __future__ import annotations

import io
import sys


def tolerate_any_terminal() -> None:
    """Write `?` for a character that the terminal's encoding lacks. Otherwise the command would die of it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
