"""What every command does about its standard input, output and error."""

from __future__ import annotations

import io
import os
import sys

INPUT, OUTPUT, ERROR = 0, 1, 2
"""The descriptors of the standard streams."""


def tolerate_any_terminal() -> None:
    r"""Escape characters that the terminal's encoding lacks (`\u2026`), and write to nowhere what is closed.

    Python has no stream for a descriptor that is closed (`>&-`), and the next file or socket would get its number.
    """
    for descriptor in (INPUT, OUTPUT, ERROR):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdout = sys.stdout or _nowhere(OUTPUT)
    sys.stderr = sys.stderr or _nowhere(ERROR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _nowhere(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), encoding="utf-8", write_through=True)


def write_text(text: str, program: str) -> int:
    """Write text to standard output, and return the exit code: 1 if it cannot be written, with the reason on stderr."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        return give_up_output(error, program)
    return 0


def give_up_output(error: OSError, program: str) -> int:
    """Let standard output go nowhere after an error, and return the exit code that the error means.

    A reader that closed the pipe (`| head`) has what it wants. Anything else is said once, on standard error.
    """
    # What writes later, Python's flush at its end included, must not meet the same error again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), OUTPUT)
    if isinstance(error, BrokenPipeError):
        return 0
    try:
        sys.stderr.write(f"{program}: standard output cannot be written: {error.strerror}\n")
        sys.stderr.flush()
    except OSError:
        os.dup2(OUTPUT, ERROR)
    return 1
