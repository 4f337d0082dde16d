"""Rebuilds the word count from what its inputs still hold: offsets, state, changelog and table together.

The order makes each point of a crash safe. Without its changelog, and with committed offsets, wordcount-stream refuses
to start; so the changelog goes first and the group last. A replica drops state on disk whose changelog is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException, Producer

from newsroom.access import Right
from newsroom.crash import AFTER_EFFECT, crash_point
from newsroom.streams.changelog import Changelog
from newsroom.topics import WORD_COUNTS, WORD_DELTAS
from newsroom_stack.cluster.connection import ADMIN_SECONDS, CLIENT, CLIENT_LOG
from newsroom_stack.cluster.letters import purge
from newsroom_stack.cluster.reading import read
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from newsroom_stack.cluster.groups import Groups

WORDCOUNT = "wordcount-stream"

EMPTY_SECONDS = 20.0
"""A replica that was killed is a member until its session times out."""

STORE = "--default"
"""How the name of a changelog ends; before it stand the topics that the state is built from."""


@dataclass(frozen=True)
class Rebuild:
    """What a rebuild deletes."""

    group: str
    changelogs: tuple[str, ...]
    internal: tuple[str, ...]
    """Topics between the halves of the word count."""
    table: str
    inputs: tuple[str, ...]
    """Topics that are read again."""

    def lines(self) -> Iterator[str]:
        """What is deleted, one fact a line."""
        yield f"the changelog {', '.join(self.changelogs) or '(there is none)'}, and with it the state of every replica"
        yield f"the records of {', '.join(self.internal)}"
        yield f"every word of {self.table} (a tombstone each)"
        yield f"the group {self.group} with its committed offsets on {', '.join(self.inputs) or 'no topic'}"


def plan_rebuild(groups: Groups, group: str = WORDCOUNT, table: str = WORD_COUNTS.name) -> Rebuild:
    """What has to be deleted at this cluster, for a group that writes this table.

    Raises:
        StackError: the topics are not there, or the group writes another table.
    """
    topics = groups.cluster.topics()
    prefix = f"changelog__{group}--"
    changelogs = tuple(sorted(name for name in topics if name.startswith(prefix)))
    sources = [name.removeprefix(prefix).removesuffix(STORE).split("--") for name in changelogs]
    known = groups.find(group) is not None
    outputs = groups.outputs(group) if known else set()
    # Without a changelog the commits tell the topic between the halves, or else its name by default.
    named = {name for names in sources for name in names} or outputs - {table}
    internal = tuple(sorted(named)) or (deltas_of(group),)
    for name in (*internal, table):
        groups.cluster.partitions(name)
    if not changelogs:  # one that is only hidden would stay, and its state be counted on
        groups.cluster.check_visible(Changelog(group, internal).topic)
    if outputs and table not in outputs:
        raise StackError(
            f"group {group} does not write {table} but {', '.join(sorted(outputs))}: name its table with --table"
        )
    committed = {topic for topic, _ in groups.committed(group)} if known else set()
    return Rebuild(group, changelogs, internal, table, tuple(sorted(committed - set(internal))))


def deltas_of(group: str) -> str:
    """The topic between the halves of a group's word count, as wordcount-stream names it by default."""
    return WORD_DELTAS.name if group == WORDCOUNT else f"{group}-{WORD_DELTAS.name}"


def execute(groups: Groups, rebuild: Rebuild, say: Callable[[str], None]) -> None:
    """Delete it, in an order in which an interruption leaves nothing that counts wrong.

    Raises:
        StackError: the cluster refuses. To run it again continues.
    """
    cluster = groups.cluster
    if rebuild.changelogs:
        with cluster.spoken("the changelog could not be deleted"):
            futures = cluster.admin.delete_topics(list(rebuild.changelogs), operation_timeout=ADMIN_SECONDS)
            for future in futures.values():
                future.result(ADMIN_SECONDS)
        say("the changelog is deleted")
    crash_point(AFTER_EFFECT)
    places = [(topic, number) for topic in rebuild.internal for number in cluster.partitions(topic)]
    purge(cluster, cluster.ends(places))
    say(f"the records of {', '.join(rebuild.internal)} are deleted")
    crash_point(AFTER_EFFECT)
    say(f"{_forget_words(groups, rebuild.table):,} words of {rebuild.table} are deleted")
    crash_point(AFTER_EFFECT)
    if groups.find(rebuild.group):
        groups.delete(rebuild.group)
    say(f"the group {rebuild.group} is deleted")
    crash_point(AFTER_EFFECT)


def check_rights(groups: Groups, rebuild: Rebuild) -> None:
    """Check that everything can be deleted: without a part of it the service would stay stopped.

    Raises:
        LastingFailure: a right is missing.
    """
    deleted = [Right("DELETE", "topic", name) for name in (*rebuild.changelogs, *rebuild.internal)]
    table = [Right(operation, "topic", rebuild.table) for operation in ("READ", "WRITE")]
    groups.cluster.check_rights([*deleted, *table])
    if groups.find(rebuild.group):
        groups.check_right("DELETE", rebuild.group)


def _forget_words(groups: Groups, table: str) -> int:
    """Write a tombstone for each word of the table that has a count; return their number."""
    cluster = groups.cluster
    places = [(table, number) for number in cluster.partitions(table)]
    # A key's records are in one partition, so the last one that is read is the newest.
    words: dict[bytes, int] = {}
    for record in read(cluster, cluster.begins(places), cluster.ends(places, committed=True)):
        if record.key is not None and record.value is not None:
            words[record.key] = record.partition
        elif record.key is not None:
            words.pop(record.key, None)
    failures: list[KafkaError] = []
    config = cluster.settings.producer_config(CLIENT, linger_ms=20)
    producer = Producer(config | cluster.quiet, logger=CLIENT_LOG)

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failures.append(error)

    what = f"tombstones could not be written to {table}"
    with cluster.spoken(what, Right("WRITE", "topic", table)):
        for word, partition in words.items():
            producer.produce(table, None, word, partition=partition, on_delivery=delivered)
            producer.poll(0)
        left = producer.flush(ADMIN_SECONDS)
        if failures:
            raise KafkaException(failures[0])
    if left:
        raise StackError(f"{what} at {cluster.address}: {left} of them have no answer")
    return len(words)
