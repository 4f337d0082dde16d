"""The state file, and what a crashed run leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from newsroom_stack.processes.runfile import Run, end_leftovers, living, mark_of, read_run, same_process, write_run
from support.processes import sleeping
from support.waiting import wait_for


def test_written_and_read_back(tmp_path: Path) -> None:
    run = Run(os.getpid(), mark_of(os.getpid()), phase="ready", processes=[{"name": "a"}])
    write_run(tmp_path / "stack.json", run)
    assert read_run(tmp_path / "stack.json") == run
    assert run.supervised()


def test_no_file_and_half_a_file_are_no_run(tmp_path: Path) -> None:
    assert read_run(tmp_path / "stack.json") is None
    (tmp_path / "stack.json").write_text('{"supervisor_pid": 1')
    assert read_run(tmp_path / "stack.json") is None


def test_a_pid_that_another_process_has_now_is_not_ours() -> None:
    own = os.getpid()
    assert same_process(own, mark_of(own))
    boot, ticks = mark_of(own).rsplit(" ", 1)
    assert not same_process(own, f"{boot} {int(ticks) - 1}")
    assert not same_process(own, f"another-boot {ticks}")
    assert not same_process(own, "")
    assert not same_process(None, "")


def test_a_clock_that_is_set_makes_no_process_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    own = os.getpid()
    mark = mark_of(own)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 0.0)
    assert same_process(own, mark)


def test_a_process_that_has_ended_has_no_mark() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout
    with ended.stdout as output:
        output.read()  # at its end: a zombie until somebody waits for it
    wait_for("no mark", lambda: mark_of(ended.pid) == "")
    ended.wait()
    assert mark_of(ended.pid) == ""


def test_leftovers_are_ended_and_strangers_are_left_alone() -> None:
    with sleeping() as ours, sleeping() as stranger:
        run = Run(1, "")
        run.processes = [
            {"name": "ours", "pid": ours.pid, "mark": mark_of(ours.pid)},
            {"name": "stranger", "pid": stranger.pid, "mark": mark_of(os.getpid())},
        ]
        assert [process["name"] for process in living(run)] == ["ours"]
        assert end_leftovers(run) == ["ours"]
        # Its exit code went to whoever waited for it first; that it has one is what matters.
        assert ours.wait() is not None
        assert stranger.poll() is None
