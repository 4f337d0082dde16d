"""Replica identity by locked files."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from newsroom.errors import SettingsError
from newsroom.slots import take_slot

HOLD = """
import sys, time, pathlib
from newsroom.slots import take_slot
slot = take_slot(pathlib.Path(sys.argv[1]))
print(slot.number, flush=True)
time.sleep(60)
"""


def hold(root: Path) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_replicas_take_different_slots_and_the_lowest_free_one(tmp_path: Path) -> None:
    with take_slot(tmp_path) as first:
        with take_slot(tmp_path) as second:
            assert (first.number, second.number) == (0, 1)
            assert first.folder != second.folder
            assert second.folder.is_dir()
        with take_slot(tmp_path) as again:
            assert again.number == 1


def test_a_killed_replica_takes_its_identity_back(tmp_path: Path) -> None:
    first, first_number = hold(tmp_path)
    second, second_number = hold(tmp_path)
    try:
        assert (first_number, second_number) == (0, 1)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        first, first_number = hold(tmp_path)
        assert first_number == 0
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="state folder"):
        take_slot(tmp_path / "file" / "state")
