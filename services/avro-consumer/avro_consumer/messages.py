"""Turns the client's messages into records, column by column: a loop over each record costs twice the time."""

from __future__ import annotations

from itertools import repeat
from operator import itemgetter, methodcaller
from typing import TYPE_CHECKING, Any

from avro_consumer.records import Record
from newsroom.headers import mend_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

_partition, _offset, _timestamp = methodcaller("partition"), methodcaller("offset"), methodcaller("timestamp")
_key, _value, _headers = methodcaller("key"), methodcaller("value"), methodcaller("headers")
_milliseconds = itemgetter(1)


def records_of(topic: str, messages: Sequence[Any]) -> list[Record]:
    """The records of one topic's messages, which have no errors."""
    try:
        headers = list(map(_headers, messages))
    except (SystemError, UnicodeDecodeError):
        headers = list(map(mend_headers, messages))
    columns = zip(
        repeat(topic),
        map(_partition, messages),
        map(_offset, messages),
        map(_milliseconds, map(_timestamp, messages)),
        map(_key, messages),
        map(_value, messages),
        [tuple(some) if some else () for some in headers],
        strict=False,  # the topic repeats without end
    )
    return list(map(Record._make, columns))
