"""Where a reset moves a group's offsets: the strategies of Kafka's own ConsumerGroupCommand, as one word each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import OffsetSpec

from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from newsroom_stack.cluster.connection import Cluster, Place

EARLIEST, LATEST = "earliest", "latest"

_AGO = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Target:
    """Where to go: a word, a time (ms since 1970), an offset, or so many records back (negative) or on."""

    word: str = ""
    time: int | None = None
    offset: int | None = None
    shift: int | None = None


@dataclass(frozen=True)
class Move:
    """What a reset does to one partition; `old` is None without a commit."""

    topic: str
    partition: int
    old: int | None
    new: int

    @property
    def again(self) -> int:
        """Records that are read again."""
        return 0 if self.old is None else max(0, self.old - self.new)

    @property
    def skipped(self) -> int:
        """Records that are not read any more."""
        return 0 if self.old is None else max(0, self.new - self.old)


def parse_target(text: str, now: datetime | None = None) -> Target:
    """Read earliest, latest, a time (`2026-11-26T18:00:00`, in UTC unless it names a zone), a time ago (`10m`), an
    offset (`42`), or a number of records back (`-100`) or on (`+100`).

    Raises:
        StackError: it is none of these.
    """
    if text in (EARLIEST, LATEST):
        return Target(word=text)
    if re.fullmatch(r"[+-]\d+", text):
        return Target(shift=int(text))
    if text.isdecimal():
        return Target(offset=int(text))
    if match := _AGO.fullmatch(text):
        seconds = (now or datetime.now(UTC)).timestamp() - float(match[1]) * _UNITS[match[2]]
        return Target(time=round(seconds * 1000))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise StackError(
            f"'{text}' is not a place in a topic: write earliest, latest, a time (2026-11-26T18:00:00, or 10m for ten "
            "minutes ago), an offset (42), or records back (-100) or on (+100)"
        ) from error
    return Target(time=round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))


def parse_topics(cluster: Cluster, texts: Iterable[str]) -> list[Place]:
    """The partitions that `T`, `T:P` and `T:P,P` name.

    Raises:
        StackError: there is no such topic or partition.
    """
    places: list[Place] = []
    for text in texts:
        topic, colon, numbers = text.partition(":")
        partitions = cluster.partitions(topic)
        wanted = numbers.split(",") if colon else [str(number) for number in partitions]
        for number in wanted:
            if not number.isdecimal() or int(number) not in partitions:
                raise StackError(f"'{text}': topic {topic} has the partitions 0 to {partitions[-1]}, not '{number}'")
            places.append((topic, int(number)))
    return list(dict.fromkeys(places))


def plan(cluster: Cluster, target: Target, committed: Mapping[Place, int], places: Iterable[Place]) -> list[Move]:
    """What a reset to the target does to each partition. An offset beyond the log becomes its nearest end, as in Kafka.

    Raises:
        StackError: records back or on are asked for, but a partition has no commit.
    """
    wanted = sorted(places)
    begins, ends = cluster.begins(wanted), cluster.ends(wanted)
    if target.time is not None:
        offsets = cluster.offsets({place: OffsetSpec.for_timestamp(target.time) for place in wanted})
        aims = {place: offset if offset >= 0 else ends[place] for place, offset in offsets.items()}
    else:
        aims = {place: _aim(target, place, committed, begins, ends) for place in wanted}
    return [Move(*place, committed.get(place), min(max(aims[place], begins[place]), ends[place])) for place in wanted]


def _aim(target: Target, place: Place, committed: Mapping[Place, int], begins: Any, ends: Any) -> int:  # noqa: ANN401
    if target.shift is not None:
        if place not in committed:
            raise StackError(
                f"the group has committed nothing in {place[0]} partition {place[1]}, so there is nothing to count "
                f"{target.shift:+d} from: name an offset, a time, earliest or latest"
            )
        return committed[place] + target.shift
    if target.offset is not None:
        return target.offset
    return int(begins[place] if target.word == EARLIEST else ends[place])
