"""Decoding of records with Quix Streams: an undecodable record becomes a value and does not stop the service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quixstreams.context import message_context
from quixstreams.models import Deserializer
from typing_extensions import override

from newsroom.errors import DecodeError
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

log = get_logger(__name__)


@dataclass(frozen=True)
class Poison:
    """Stands in for a value that its topic's decoder rejected."""

    reason: str


class Decoder(Deserializer):
    """Turns bytes into a value with `decode`, and into `Poison` when that raises `DecodeError`.

    If a deserializer raises, the service stops at the same record after every restart. If it ignores the record, Quix
    does not commit its offset. Any other error (the registry does not answer) is not the record's fault. It stops the
    service, which reads the record again after its restart.
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
        DecodeError: the bytes are not valid UTF-8.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"the value is not valid UTF-8: {error}") from error
