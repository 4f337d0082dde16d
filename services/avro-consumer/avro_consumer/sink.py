"""Writes JSON lines to a file that survives a kill: whole lines, on disk before the offsets are committed."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Mapping
from datetime import date, time
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
    read again. Whole lines of uncommitted records stay, and those records are read again too (at least once). A file
    that is deleted or renamed is made anew before the next batch, or its part, is committed.

    Raises:
        SettingsError: the file cannot be opened, or another process writes to it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._opened()

    def _opened(self) -> BinaryIO:
        path = self._path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file: BinaryIO = path.open("a+b", buffering=0)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _cut_torn_line(file, path)
            _sync_folder(path.parent)
        except OSError as error:
            file.close()
            raise _unusable(path, error) from error
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, readings: Iterable[Reading]) -> None:
        """Append one line for each reading; the lines are on disk, in the file of this name, when the call returns.

        Raises:
            SettingsError: the file was taken away, and cannot be opened anew.
            SinkFailed: the disk is full or not available.
        """
        data = b"".join(_line(reading) for reading in readings)
        self._follow()
        self._append(data)
        while self._follow():
            # It was taken away meanwhile. Nobody may look for these lines in a file that is deleted.
            self._append(data)

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise SinkFailed(
                f"cannot write to the sink {self._path}: {error.strerror}; make room and start again (the offsets of "
                "this batch are not committed)"
            ) from error

    def _follow(self) -> bool:
        """Open the file anew if it was deleted or renamed, as rotation does; whether it was."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        except OSError as error:
            raise _unusable(self._path, error) from error
        if there is not None and os.path.samestat(there, os.fstat(self._file.fileno())):
            return False
        log.warning("the sink was deleted or renamed; continuing in a new file of its name", path=str(self._path))
        # First the new one: the descriptor of the old one stays open if that fails.
        file, self._file = self._file, self._opened()
        file.close()
        return True


def _cut_torn_line(file: BinaryIO, path: Path) -> None:
    size = end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - TAIL_BYTES)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        file.truncate(end)
        log.warning("removed an incomplete last line from the sink", path=str(path), bytes=size - end)


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
    return as_json(entry).encode() + b"\n"


def as_json(value: Any) -> str:  # noqa: ANN401 - values of any schema
    """Return a value as JSON, with what JSON does not have as text."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> str:  # noqa: ANN401 - Avro's logical types give any type
    """Return what JSON does not have as text, from which the schema gives the value back: see docs/input.md."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value.isoformat() if isinstance(value, (date, time)) else str(value)


def _finite(value: Any) -> Any:  # noqa: ANN401
    """Return the value with its NaN and infinite numbers as text."""
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value
