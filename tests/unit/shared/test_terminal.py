"""Standard streams that are closed, full or of a poor encoding: the real process, and what it leaves behind."""

import subprocess
import sys
from pathlib import Path

import pytest

# A service that logs until it is told to stop, and then says so where the test can read it.
BODY = """
import sys
from pathlib import Path
from newsroom.logs import get_logger, output_is_lost

def run(settings, stop):
    log = get_logger("t")
    for number in range(100_000):
        log.info(f"line {number} caf\\u00e9 \\ud83d")
        if stop.wait(0.0001):
            break
    print("what a library writes later does not fail", flush=True)
    Path("result").write_text(f"{bool(stop)} {output_is_lost()} {sys.stdin is None}")
"""

RUN = """
import sys
from newsroom.lifecycle import run_service
from newsroom.settings import ServiceSettings
sys.exit(run_service("svc", ServiceSettings, "body:run"))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "body.py").write_text(BODY)
    (tmp_path / "run.py").write_text(RUN)
    return tmp_path


def shell(folder: Path, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the service in bash; its exit code is the first line of the output of this call."""
    command = f'"{sys.executable}" run.py {" ".join(arguments)} {redirection}'
    return subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def result(folder: Path) -> str:
    return (folder / "result").read_text()


def test_a_reader_that_has_enough_ends_the_service_in_order_and_in_silence(folder: Path) -> None:
    done = shell(folder, "| head -1; echo code ${PIPESTATUS[0]}")
    first, last = done.stdout.splitlines()
    assert "line 0 café" in first
    assert (last, done.stderr, result(folder)) == ("code 0", "", "True True False")


def test_a_full_device_is_one_sentence_on_standard_error_and_a_code(folder: Path) -> None:
    done = shell(folder, "> /dev/full")
    assert done.stderr == "svc: standard output cannot be written: No space left on device\n"
    assert (done.returncode, result(folder)) == (1, "True True False")


@pytest.mark.parametrize(("redirection", "no_input"), [(">&-", False), ("<&-", True), ("<&- >&- 2>&-", True)])
def test_a_closed_stream_is_written_to_nowhere(folder: Path, redirection: str, no_input: bool) -> None:
    body = BODY.replace("100_000", "10")
    (folder / "body.py").write_text(body)
    done = shell(folder, redirection)
    assert (done.returncode, done.stderr, result(folder)) == (0, "", f"False False {no_input}")


def test_characters_that_the_terminal_lacks_are_escaped(folder: Path) -> None:
    (folder / "body.py").write_text(BODY.replace("100_000", "1"))
    done = subprocess.run(
        [sys.executable, "run.py"],
        cwd=folder,
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"line 0 caf\\xe9 \\ud83d" in done.stdout
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_help_may_be_cut_short_but_not_lost(folder: Path) -> None:
    assert shell(folder, "| head -1; exit ${PIPESTATUS[0]}", "--help").returncode == 0
    done = shell(folder, "> /dev/full", "--help")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr
