"""A crash point kills the process at the passage that the variable names, and only there."""

import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
from newsroom.crash import crash_point
for turn in range(4):
    print(turn, flush=True)
    crash_point("before-effect")
    crash_point("after-effect")
"""


def run(crash_at: str) -> tuple[int, str, str]:
    """The exit code, the output and the errors of a program with two crash points."""
    env = {**os.environ, "NEWSROOM_CRASH_AT": crash_at}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("crash_at", "turns"), [("after-effect", "0"), ("before-effect:3", "012"), ("after-effect:2:0.1", "01")]
)
def test_the_process_kills_itself_there(crash_at: str, turns: str) -> None:
    code, output, errors = run(crash_at)
    assert (code, output.replace("\n", "")) == (-signal.SIGKILL, turns)
    assert errors == f"killed at crash point {crash_at}\n"


@pytest.mark.parametrize("crash_at", ["", "before-commit", "after-effect:5"])
def test_a_point_that_is_not_passed_kills_nothing(crash_at: str) -> None:
    assert run(crash_at) == (0, "0\n1\n2\n3\n", "")


def test_a_wrong_plan_is_said() -> None:
    code, _, errors = run("after-effect:soon")
    assert code == 1
    assert "NEWSROOM_CRASH_AT=after-effect:soon is not POINT[:PASSAGE[:SECONDS]], as in after-effect:2" in errors
