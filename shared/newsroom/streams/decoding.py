"""Decoding of records with Quix Streams: a record that cannot be decoded becomes a value, not an end of the service."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from newsroom.errors import DecodeError
from newsroom.logs import get_logger

with warnings.catch_warnings(record=True):
    # As in newsroom.schemas.registry: a library below announces a rename that no reader of our logs can act on.
    from quixstreams.context import message_context
    from quixstreams.models import Deserializer

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger(__name__)


@dataclass(frozen=True)
class Poison:
    """A key or value that is not what its topic promises, in place of the decoded one."""

    reason: str


class Decoder(Deserializer):
    """Turns bytes into a value with `decode`, and into `Poison` when that raises `DecodeError`.

    A deserializer that raised would stop the service at that record for ever, and Quix does not commit the offset
    of an ignored one. Any other error (the registry does not answer) is no fault of the record: it goes up and
    stops the service, which reads the record again after its restart.
    """

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._decode = decode

    @override
    def __call__(self, value: bytes, ctx: object) -> Any:
        try:
            return self._decode(value)
        except DecodeError as error:
            return Poison(str(error))


def log_skipped(poison: Poison) -> None:
    """Log that the service skips the record it is processing, with the record's place."""
    place = message_context()
    log.warning(
        "undecodable record skipped",
        topic=place.topic,
        partition=place.partition,
        offset=place.offset,
        reason=poison.reason,
    )


def decode_text(data: bytes) -> str:
    """Decode UTF-8.

    Raises:
        DecodeError: the bytes are not UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8: {error}") from error
