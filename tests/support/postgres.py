"""A PostgreSQL server of a test's own, from Debian's package: its own folder and process, on a socket."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from support.tools import need
from support.waiting import wait_for

USER = "newsroom"


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server; yields the URL of its database."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    programs = Path(need("initdb", "postgresql", *reversed(installed))).resolve().parent
    # Not pytest's folder: it is closed to others, and the server refuses to run as root.
    folder = Path(tempfile.mkdtemp(prefix="newsroom-postgres-"))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    run = partial(subprocess.run, check=True, cwd=folder, capture_output=True, **identity)
    server = None
    try:
        run([programs / "initdb", "--pgdata", data, "--auth", "trust", "--username", USER, "--no-sync"])
        # What a test kills are consumers: the server may keep its data in the page cache.
        options = ("-c", "listen_addresses=", "-c", "fsync=off", "-k", folder)
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, *options], cwd=folder, stdout=log, stderr=log, **identity
            )
        ready = partial(subprocess.run, [programs / "pg_isready", "--host", folder], capture_output=True, check=False)
        wait_for("PostgreSQL is ready", lambda: ready().returncode == 0)
        yield f"postgresql+psycopg://{USER}@/postgres?host={folder}"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # its fast shutdown
            server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
