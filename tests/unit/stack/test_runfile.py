"""The state file, and what a crashed run leaves."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from newsroom_stack.runfile import Run, end_leftovers, living, read_run, same_process, write_run


def test_written_and_read_back(tmp_path: Path) -> None:
    run = Run(os.getpid(), psutil.Process().create_time(), phase="ready", processes=[{"name": "a"}])
    write_run(tmp_path / "stack.json", run)
    assert read_run(tmp_path / "stack.json") == run
    assert run.supervised()


def test_no_file_and_half_a_file_are_no_run(tmp_path: Path) -> None:
    assert read_run(tmp_path / "stack.json") is None
    (tmp_path / "stack.json").write_text('{"supervisor_pid": 1')
    assert read_run(tmp_path / "stack.json") is None


def test_a_pid_that_another_process_has_now_is_not_ours() -> None:
    own = psutil.Process()
    assert same_process(own.pid, own.create_time())
    assert not same_process(own.pid, own.create_time() - 3600)


def test_leftovers_are_ended_and_strangers_are_left_alone() -> None:
    ours, stranger = (subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(2))
    try:
        run = Run(1, 0.0)
        run.processes = [
            {"name": "ours", "pid": ours.pid, "create_time": psutil.Process(ours.pid).create_time()},
            {"name": "stranger", "pid": stranger.pid, "create_time": 1.0},
        ]
        assert [process["name"] for process in living(run)] == ["ours"]
        assert end_leftovers(run) == ["ours"]
        # Its exit code went to whoever waited for it first; that it has one is what matters.
        assert ours.wait(5) is not None
        assert stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()
