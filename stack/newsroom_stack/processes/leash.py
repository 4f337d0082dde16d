"""Run a command that dies with its supervisor: `python leash.py SUPERVISOR_PID COMMAND…`.

On Linux the kernel sends SIGKILL to the command when the supervisor ends, however it ends. Elsewhere the command
simply runs, and the next `newsroom up` or `down` finds and ends what a crashed supervisor left. The supervisor starts
this file with `-I -S`, so it takes a few milliseconds; it may import only the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that this process gets when its parent thread ends. execve keeps the setting."""


def main() -> None:
    """Ask for the signal, then become the command."""
    supervisor, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            # The supervisor died between fork and prctl: the kernel would never send the signal.
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - becoming the command is the point


if __name__ == "__main__":
    main()
