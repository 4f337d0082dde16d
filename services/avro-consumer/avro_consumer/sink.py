"""Writes JSON lines to a file that survives a kill: whole lines, on disk before the offsets are committed."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from avro_consumer.errors import SinkFailed
from newsroom.errors import SettingsError
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import TracebackType

    from avro_consumer.records import Reading

log = get_logger(__name__)

TAIL_BYTES = 64 * 1024
"""How much to read at a time when searching for the end of the last whole line."""


def sink_path(sink: Path, slot: int) -> Path:
    """Return the file of one replica: FOLDER/consumed-SLOT.jsonl, or FILE-SLOT.SUFFIX."""
    if sink.is_dir() or not sink.suffix:
        return sink / f"consumed-{slot}.jsonl"
    return sink.with_name(f"{sink.stem}-{slot}{sink.suffix}")


class JsonLinesSink:
    """Appends readings to a file. A context manager.

    Opening the file removes an incomplete last line, which a kill leaves behind: its record was not committed and is
    read again. Whole lines of uncommitted records stay, and those records are read again too (at least once).

    Raises:
        SettingsError: the file cannot be opened, or another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b", buffering=0)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._cut_torn_line()
            _sync_folder(path.parent)
        except OSError as error:
            self._file.close()
            raise _unusable(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, readings: Iterable[Reading]) -> None:
        """Append one line for each reading; the lines are on disk when the call returns.

        Raises:
            SinkFailed: the disk is full or not available.
        """
        data = memoryview(b"".join(_line(reading) for reading in readings))
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SinkFailed(
                f"cannot write to the sink {self._path}: {error.strerror}; make room and start again (the offsets of "
                "this batch are not committed)"
            ) from error

    def _cut_torn_line(self) -> None:
        size = end = self._file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - TAIL_BYTES)
            self._file.seek(start)
            newline = self._file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            self._file.truncate(end)
            log.warning("removed an incomplete last line from the sink", path=str(self._path), bytes=size - end)


def _unusable(path: Path, error: OSError) -> SettingsError:
    if isinstance(error, BlockingIOError):
        return SettingsError(f"another process writes to the sink {path}: choose another --sink")
    return SettingsError(f"cannot open the sink {path}: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    # A new file survives a crash only when its folder is synced too.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(reading: Reading) -> bytes:
    record = reading.record
    entry = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": reading.key,
        "value": reading.value,
    }
    return json.dumps(entry, ensure_ascii=False, default=_plain).encode() + b"\n"


def _plain(value: Any) -> str:  # noqa: ANN401 - Avro's logical types give any type
    """Return Avro's bytes, dates and decimals as text: JSON does not have these types."""
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else str(value)
