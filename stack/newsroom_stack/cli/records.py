"""The commands `newsroom dlq …`, `peek` and `label`."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from newsroom.topics import NEWS_DLQ, WORD
from newsroom_stack.cli.groups import print_json
from newsroom_stack.cli.parser import BOOTSTRAP, EXECUTE, JSON, READ_AGAIN, REGISTRY, argument, command, topics
from newsroom_stack.cli.render import console, errors, print_rows
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from newsroom_stack.cluster.connection import Cluster, Place
    from newsroom_stack.cluster.letters import Letter
    from newsroom_stack.cluster.reading import Reader, Record

# ruff: noqa: PLC0415 - a command imports what it alone needs

PEEK_BYTES, SHOW_BYTES = 64, 4096
"""How many bytes of a value `peek` and `dlq show` print."""

LONGEST_CELL = 60

DLQ = argument(
    "--topic", default=NEWS_DLQ.name, help=f"the dead-letter topic (default: {NEWS_DLQ.name})", completer=topics
)
PLACE = "PARTITION:OFFSET"


def open_cluster(bootstrap: str | None, registry: str | None = None) -> Cluster:
    """The cluster that the options or the settings name."""
    from newsroom_stack.cluster.connection import Cluster, load_connection

    return Cluster(load_connection(bootstrap, registry))


def parse_place(text: str) -> tuple[int, int]:
    """Read `PARTITION:OFFSET`.

    Raises:
        StackError: it is something else.
    """
    partition, _, offset = text.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise StackError(f"'{text}' is not the place of a record: write {PLACE}, such as 3:41")
    return int(partition), int(offset)


def as_text(data: bytes | None) -> str | None:
    """Bytes as text, with escapes for what is not UTF-8."""
    return None if data is None else data.decode(errors="backslashreplace")


def _short(text: str | None) -> str | None:
    if text is None or len(text) <= LONGEST_CELL:
        return text
    return f"{text[: LONGEST_CELL - 1]}…"


def _age(milliseconds: int) -> str:
    seconds = max(0.0, time.time() - milliseconds / 1000)
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@command(READ_AGAIN, DLQ, BOOTSTRAP, JSON, of="dlq")
def dlq_list(*, topic: str, bootstrap: str | None, as_json: bool) -> None:
    """List the dead letters: origin, reason, age, key, and how often each was sent again."""
    from newsroom_stack.cluster.letters import letters

    waiting = sorted(letters(open_cluster(bootstrap), topic), key=lambda letter: letter.record.timestamp)
    if as_json:
        print_json([_letter_as_json(letter) for letter in waiting])
        return
    if not waiting:
        console().print(f"topic {topic} has no dead letters", markup=False)
        return
    rows = [
        (
            *(letter.record.place, letter.origin, _age(letter.record.timestamp), letter.rounds),
            *(_short(as_text(letter.record.key)), _short(letter.reason)),
        )
        for letter in waiting
    ]
    print_rows(("PLACE", "ORIGIN", "AGE", "ROUNDS", "KEY", "REASON"), rows, right=("AGE", "ROUNDS"))


def _letter_as_json(letter: Letter) -> dict[str, Any]:
    record = letter.record
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": as_text(record.key),
        "origin": {"topic": letter.topic, "partition": letter.partition, "offset": letter.offset},
        "reason": letter.reason,
        "rounds": letter.rounds,
    }


@command(
    READ_AGAIN,
    argument("place", metavar=PLACE, help="the dead letter, as 'newsroom dlq list' names it"),
    DLQ,
    BOOTSTRAP,
    REGISTRY,
    JSON,
    of="dlq",
)
def dlq_show(*, place: str, topic: str, bootstrap: str | None, registry: str | None, as_json: bool) -> None:
    """Show a dead letter: its headers, its key, and its value as bytes and decoded if possible."""
    from newsroom_stack.cluster.letters import one
    from newsroom_stack.cluster.reading import Reader

    cluster = open_cluster(bootstrap, registry)
    record = one(cluster, topic, *parse_place(place))
    reader = Reader(cluster)
    if as_json:
        print_json(_record_as_json(record, reader))
        return
    for name, value in record.headers:
        console().print(f"{name}: {as_text(value) if value is not None else 'null'}", markup=False)
    print_record(record, reader, SHOW_BYTES)


def print_record(record: Record, reader: Reader, most: int) -> None:
    """Print a record: where and when, key, value decoded, and its bytes."""
    from newsroom_stack.cluster.reading import hex_lines

    name, value = reader.decoded(record)
    stamp = f"{record.time:%Y-%m-%d %H:%M:%S}.{record.timestamp % 1000:03d}"
    size = "null" if record.value is None else f"{len(record.value):,} bytes"
    console().print(f"{record.topic} {record.place}  {stamp} UTC  key {as_text(record.key)}  {size}", markup=False)
    if name and name not in ("string", "null"):
        fields = ", ".join(f"{field}={content!r}" for field, content in value.items())
        console().print(f"  {name}({fields})", markup=False)
    elif name == "string":
        console().print(f"  {value!r}", markup=False)
    for line in hex_lines(record.value or b"", most):
        console().print(f"  {line}", markup=False, style="dim")


def _record_as_json(record: Record, reader: Reader) -> dict[str, Any]:
    name, value = reader.decoded(record)
    if isinstance(value, dict):
        value = {
            field: content if isinstance(content, int | float | bool | None) else str(content)
            for field, content in value.items()
        }
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": as_text(record.key),
        "type": name,
        "value": value,
        "bytes": None if record.value is None else record.value.hex(),
        "headers": [[name, as_text(content)] for name, content in record.headers],
    }


@command(
    READ_AGAIN,
    argument("-n", dest="number", type=int, default=0, metavar="N", help="send at most so many (default: all)"),
    DLQ,
    BOOTSTRAP,
    of="dlq",
)
def dlq_replay(*, number: int, topic: str, bootstrap: str | None) -> None:
    """Send the dead letters again to the topics that they come from, each of them once."""
    from newsroom_stack.cluster.letters import Replay, replay_group

    replay = Replay(open_cluster(bootstrap), topic, lambda line: errors().print(line, markup=False))
    outcome = replay.run(number)
    left = f", {outcome.left:,} left out" if outcome.left else ""
    console().print(
        f"{outcome.sent:,} dead letters of {topic} sent again{left}; the position is the committed offset of group "
        f"{replay_group(topic)}",
        markup=False,
    )


@command(
    READ_AGAIN,
    argument("places", nargs="*", metavar=PLACE, help="delete the letters of a partition below this offset"),
    argument("--replayed", action="store_true", help="delete what 'newsroom dlq replay' has sent again"),
    argument("--all", dest="everything", action="store_true", help="delete all dead letters"),
    EXECUTE,
    DLQ,
    BOOTSTRAP,
    of="dlq",
)
def dlq_purge(
    *, places: list[str], replayed: bool, everything: bool, execute: bool, topic: str, bootstrap: str | None
) -> None:
    """Delete dead letters up to an offset, those that were sent again, or all of them."""
    from newsroom_stack.cluster.letters import purge

    if bool(places) + replayed + everything != 1:
        raise StackError(f"say what to delete: {PLACE} (the letters below it), --replayed or --all")
    cluster = open_cluster(bootstrap)
    partitions = [(topic, number) for number in cluster.partitions(topic)]
    begins, limits = cluster.begins(partitions), cluster.ends(partitions, committed=True)
    if replayed:
        limits = _replayed(cluster, topic)
    elif places:
        wanted = dict(map(parse_place, places))
        if unknown := [number for number in wanted if (topic, number) not in begins]:
            raise StackError(f"topic {topic} has no partition {unknown[0]}")
        limits = {(topic, number): min(offset, limits[topic, number]) for number, offset in wanted.items()}
    limits = {place: limit for place, limit in limits.items() if limit > begins[place]}
    rows = [
        (number, begins[topic, number], limit, limit - begins[topic, number]) for (_, number), limit in limits.items()
    ]
    if not rows:
        console().print(f"topic {topic} has nothing to delete there", markup=False)
        return
    print_rows(("PARTITION", "FROM", "BELOW", "OFFSETS"), rows, right=("PARTITION", "FROM", "BELOW", "OFFSETS"))
    if execute:
        purge(cluster, limits)
    console().print(f"topic {topic}: {'deleted' if execute else 'would be deleted; --execute does it'}", markup=False)


def _replayed(cluster: Cluster, topic: str) -> dict[Place, int]:
    from newsroom_stack.cluster.groups import Groups
    from newsroom_stack.cluster.letters import replay_group

    with Groups(cluster) as groups:
        return {place: offset for place, offset in groups.committed(replay_group(topic)).items() if place[0] == topic}


@command(
    READ_AGAIN,
    argument("topic", metavar="TOPIC", help="the topic", completer=topics),
    argument("-n", dest="number", type=int, default=10, metavar="N", help="so many records (default: 10)"),
    argument("--partition", "-p", type=int, metavar="P", help="only this partition"),
    argument(
        "--from",
        dest="start",
        metavar="PLACE",
        help="the first records from here on, not the last ones: earliest, a time (10m: ten minutes ago), an offset, "
        "or -N: N before the end of each partition",
    ),
    BOOTSTRAP,
    REGISTRY,
    JSON,
)
def peek(
    *,
    topic: str,
    number: int,
    partition: int | None,
    start: str | None,
    bootstrap: str | None,
    registry: str | None,
    as_json: bool,
) -> None:
    """Show the last records of a topic, decoded where the registry knows their schema, and as bytes."""
    from newsroom_stack.cluster.reading import Reader, first, newest
    from newsroom_stack.cluster.resets import parse_target, parse_topics

    if number < 1:
        raise StackError(f"-n {number}: name at least one record")
    target = parse_target(start) if start else None
    cluster = open_cluster(bootstrap, registry)
    places = parse_topics(cluster, [topic if partition is None else f"{topic}:{partition}"])
    records = newest(cluster, places, number) if target is None else first(cluster, places, target, number)
    reader = Reader(cluster)
    if as_json:
        print_json([_record_as_json(record, reader) for record in records])
        return
    for record in islice(records, number):
        print_record(record, reader, PEEK_BYTES)
    if not records:
        console().print(f"topic {topic} has no records there", markup=False)
    if reader.problem:
        errors().print(f"not everything could be decoded: {reader.problem}", markup=False)


@command(
    READ_AGAIN,
    argument("word", metavar="WORD", help="the word, as wordcount-stream counts it: in lower case"),
    argument("text", metavar="TEXT", help="the label, which join-service joins with the word's count"),
    argument("--topic", default=WORD.name, help=f"the topic of the labels (default: {WORD.name})", completer=topics),
    BOOTSTRAP,
)
def label(*, word: str, text: str, topic: str, bootstrap: str | None) -> None:
    """Send a label for a word, which join-service joins with the word's count."""
    from newsroom_stack.cluster.sending import send_one

    partition, offset = send_one(open_cluster(bootstrap), topic, word, text)
    console().print(f"{topic} {partition}:{offset}: {word} is labelled {text}", markup=False)
