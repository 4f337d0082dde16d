"""Make `.venv` from the hash-pinned locks: standard library only, because it runs before anything is installed.

Called by the Makefile. Says in one sentence what is wrong and what to do when Python is too old, the venv
module is missing or no package index answers.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
"""Quix Streams 3.28 needs Python 3.11."""

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
REQUIREMENTS = ROOT / "requirements"


def fail(message: str) -> None:
    """End with one message for the reader and exit code 1."""
    sys.exit(f"newsroom install: {message}")


def run(step: str, *command: str | Path) -> None:
    """Run one step; on failure show its output and say which step it was."""
    print(f"install: {step}", flush=True)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        fail(
            f"'{step}' failed (exit code {done.returncode}); the output is above. "
            "The first installation needs a package index; see README.md, Troubleshooting."
        )


def create_venv() -> None:
    """Make the virtual environment unless a working one of a good version is there."""
    python = BIN / "python"
    if python.exists() and subprocess.run([python, "-c", "import pip"], check=False).returncode == 0:
        return
    probe = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if probe.returncode != 0:
        fail(f"{sys.executable} has no venv module. On Debian and Ubuntu: apt install python3-venv")
    run("virtual environment .venv", sys.executable, "-m", "venv", "--clear", VENV)


def members() -> list[Path]:
    """The folders of our own packages."""
    return [path.parent for path in sorted(ROOT.glob("services/*/pyproject.toml"))] + [
        ROOT / "shared",
        ROOT / "stack",
        ROOT / "audit",
        ROOT / "lab",
    ]


def main() -> None:
    """Create the environment, then install the locks and our own packages into it."""
    if sys.version_info < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        fail(
            f"Python {wanted} or newer is needed, this is {sys.version.split()[0]} at {sys.executable}. "
            "Name another one: make PYTHON=python3.12 …"
        )
    create_venv()
    pip: list[str | Path] = [BIN / "python", "-m", "pip", "--disable-pip-version-check"]
    run(
        "installer (uv)",
        *pip,
        "install",
        "--quiet",
        "--require-hashes",
        "-r",
        REQUIREMENTS / "bootstrap.lock",
    )
    uv: list[str | Path] = [BIN / "uv", "pip"]
    python: list[str | Path] = ["--python", BIN / "python"]
    locks = (REQUIREMENTS / "bootstrap.lock", REQUIREMENTS / "dev.lock")
    run("locked dependencies", *uv, "sync", *python, "--require-hashes", *locks)
    editable: list[str | Path] = [part for member in members() for part in ("--editable", member)]
    run("our packages", *uv, "install", *python, "--offline", "--no-deps", "--no-build-isolation", *editable)
    (VENV / "installed").touch()


if __name__ == "__main__":
    main()
