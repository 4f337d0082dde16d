"""The words that a newcomer to Kafka meets, explained in a few sentences each: what every other text refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Word:
    """A word of Kafka."""

    text: str
    """What it means; the first sentence is enough for a tooltip."""
    also: tuple[str, ...] = ()
    """Other words for the same thing, and names that stand for it in Kafka's tools and settings."""

    @property
    def short(self) -> str:
        """The first sentence."""
        return self.text.split(". ")[0].rstrip(".") + "."


WORDS: Final[Mapping[str, Word]] = {
    "acknowledgement": Word(
        "The broker's answer that a record is stored. acks says who must have it before: nobody (0), the leader (1), "
        "or all in-sync replicas (all).",
        ("acks", "ack"),
    ),
    "batch": Word(
        "Records for one partition that the producer sends together. Larger batches mean fewer requests and better "
        "compression; linger.ms and batch.size say when one goes.",
        ("linger.ms", "batch.size"),
    ),
    "broker": Word(
        "A server of Kafka that stores partitions and answers clients. Three of them make the cluster of this stack.",
        ("node",),
    ),
    "changelog": Word(
        "A compacted topic to which a stream application writes every change of its state. A replica that lost its "
        "disk restores its state from there.",
    ),
    "co-partitioning": Word(
        "Two topics are co-partitioned when they have as many partitions and place each key on the same one. A join "
        "needs it, because it reads the same partition of both.",
    ),
    "committed offset": Word(
        "The place in a partition where a consumer group goes on after a restart. A member commits the offset of the "
        "next record to read, and the brokers keep it for the group.",
        ("commit", "current-offset"),
    ),
    "compaction": Word(
        "A clean-up that keeps the newest record of each key and deletes older ones. It makes a topic a table; "
        "cleanup.policy=compact switches it on.",
        ("compacted topic", "cleanup.policy", "log compaction"),
    ),
    "compatibility": Word(
        "The registry's rule for a new version of a schema. BACKWARD: a reader with the new schema can read what was "
        "written with the old one.",
        ("schema evolution", "backward"),
    ),
    "compression": Word(
        "The producer compresses a whole batch, and brokers and disks keep it so. It needs batches of several records "
        "to be of use.",
        ("compression.type", "codec"),
    ),
    "connector": Word(
        "A job of Kafka Connect that copies data between a topic and another system. A source writes to topics, a "
        "sink reads from them.",
        ("sink", "source", "kafka connect"),
    ),
    "consumer": Word(
        "A client that reads records. It asks the leader of each partition for what follows its position; brokers "
        "push nothing.",
    ),
    "consumer group": Word(
        "Consumers with one group.id that share the partitions of their topics. Each partition has one owner in the "
        "group at a time, and the group has a committed offset for it.",
        ("group", "group.id"),
    ),
    "controller": Word(
        "The node that decides which broker leads which partition. The controllers of the cluster are a quorum that "
        "elects one of them (KRaft).",
        ("kraft", "quorum"),
    ),
    "converter": Word(
        "What a connector uses to make bytes of a value and back: the serializer of Kafka Connect. It must be the one "
        "that fits what is in the topic.",
        ("value.converter", "key.converter"),
    ),
    "coordinator": Word(
        "The broker that looks after a consumer group or a transactional id. It is the leader of the internal topic's "
        "partition to which the name hashes.",
        ("group coordinator", "transaction coordinator"),
    ),
    "dead letter": Word(
        "A copy of a record that a consumer cannot process, in a topic of its own with origin and reason in headers. "
        "The consumer commits and goes on; `newsroom dlq` lists and replays dead letters.",
        ("dlq", "dead-letter topic", "poison", "poison pill"),
    ),
    "delivery semantics": Word(
        "What a crash may do to records. At most once may lose some, at least once may repeat some, exactly once does "
        "neither, but only inside one transaction.",
        ("at least once", "at most once", "exactly once", "processing guarantee"),
    ),
    "generation": Word(
        "The number of a consumer group's current assignment, one higher after each rebalance. A commit of an older "
        "generation is refused; in the protocol of KIP-848 the number is called epoch.",
        ("epoch", "member epoch"),
    ),
    "globalktable": Word(
        "A table of which every replica has all partitions, so that any key can be looked up. It costs the whole "
        "topic's size in each replica.",
        ("global table",),
    ),
    "idempotence": Word(
        "A producer that numbers its records, so that the broker drops one that it has already. A retry is harmless "
        "then.",
        ("enable.idempotence", "idempotent producer"),
    ),
    "in-sync replica": Word(
        "A replica that has every acknowledged record, or is at most a moment behind. Only these may lead, and "
        "acks=all waits for all of them.",
        ("isr", "in sync", "min.insync.replicas"),
    ),
    "isolation level": Word(
        "Whether a consumer gets records of open and aborted transactions. read_committed does not get them, "
        "read_uncommitted gets all.",
        ("read_committed", "read_uncommitted", "isolation.level"),
    ),
    "join": Word(
        "A stream application's way to bring records of two topics together by their key. Both topics must be "
        "co-partitioned.",
    ),
    "key": Word(
        "The part of a record that decides its partition. Records with the same key are in one partition and in order.",
    ),
    "ktable": Word(
        "The newest value of each key, as a stream application sees a topic. Each replica has the partitions that it "
        "owns.",
        ("table",),
    ),
    "lag": Word(
        "How many records of a partition a consumer group has not committed yet: the partition's end minus the "
        "committed offset. A lag that keeps growing means trouble.",
        ("consumer lag",),
    ),
    "last stable offset": Word(
        "The offset up to which no transaction is open. A read_committed consumer gets nothing behind it.",
        ("lso",),
    ),
    "leader": Word(
        "The replica of a partition that takes all writes, and usually all reads. The others follow; when the "
        "leader's broker fails, one in sync takes over.",
        ("leader election", "follower"),
    ),
    "member": Word(
        "A consumer in a group. The group gives it partitions for as long as it sends heartbeats.",
        ("heartbeat", "session.timeout.ms"),
    ),
    "metric": Word(
        "A number about a running system, asked for regularly. For Kafka watch lag, under-replicated and offline "
        "partitions, the active controller, and rates of requests and bytes.",
        ("metrics", "monitoring", "prometheus", "jmx"),
    ),
    "offset": Word(
        "The number of a record in its partition. Offsets only grow, and a record keeps its own until it is deleted.",
    ),
    "partition": Word(
        "A part of a topic: an ordered log of records on one broker, with copies on others. Order holds within a "
        "partition only, and a group can have as many busy members as there are partitions.",
    ),
    "partitioner": Word(
        "What chooses the partition of a record in the producer: a hash of the key, or one partition after the other. "
        "Java hashes with murmur2, librdkafka by default with CRC32.",
        ("sticky partitioner", "murmur2"),
    ),
    "producer": Word(
        "A client that writes records. It chooses the partition, collects batches and sends them again when no answer "
        "comes.",
    ),
    "rebalance": Word(
        "A consumer group shares the partitions anew because members came, went or died. Partitions that move have no "
        "owner for a moment.",
        ("assignment", "cooperative", "eager", "kip-848"),
    ),
    "record": Word(
        "What a topic stores: key, value, headers and a timestamp. A broker knows only bytes.",
        ("message", "event"),
    ),
    "replica": Word(
        "A copy of a partition on a broker; one of them leads. Of a service, replica means one of several processes "
        "that share its work.",
        ("replication factor",),
    ),
    "repartition": Word(
        "To write records under another key to a topic in between, so that equal keys meet in one partition. A count "
        "by word needs it.",
        ("group_by", "repartition topic"),
    ),
    "retention": Word(
        "How long (retention.ms) or how much (retention.bytes) a topic keeps. Older segments are deleted, read or not.",
        ("retention.ms", "log.retention.check.interval.ms"),
    ),
    "schema": Word(
        "The fields and types of a record, written down. Writers and readers of Avro need it, since the bytes name no "
        "field.",
        ("avro",),
    ),
    "schema registry": Word(
        "A server that keeps schemas by id, and checks new versions. A record carries the id of its schema.",
        ("registry",),
    ),
    "segment": Word(
        "One of the files that a partition consists of. Retention and compaction work on closed segments, never on "
        "the one that is written.",
        ("segment.ms", "segment.bytes"),
    ),
    "serializer": Word(
        "What makes bytes of a key or value before they are sent; a deserializer does the opposite. Both sides must "
        "fit.",
        ("deserializer", "serde"),
    ),
    "share group": Word(
        "Consumers that share topics record by record, as from a queue (KIP-932). Several members may read one "
        "partition, and order is not kept.",
        ("kip-932", "queue"),
    ),
    "state store": Word(
        "What a stream application remembers between records, on the disk of the replica. Its changelog makes it safe.",
        ("state", "rocksdb"),
    ),
    "stateless": Word(
        "A step of a stream that needs nothing but the record itself: filter, map. It needs no state store and no "
        "changelog.",
        ("filter", "map"),
    ),
    "static membership": Word(
        "A member with a lasting identity (group.instance.id). When it restarts within its session, the group does "
        "not rebalance.",
        ("group.instance.id",),
    ),
    "stream": Word(
        "Records as they come, without an end; a stream application turns some into others. It is a consumer, a state "
        "store and a producer in one.",
        ("kstream", "stream processing", "kafka streams", "quix streams"),
    ),
    "subject": Word(
        "The name under which the registry keeps the versions of a schema. For the values of a topic it is "
        "TOPIC-value.",
    ),
    "task": Word(
        "A part of a connector's or a stream's work, which one worker does. A failed task of a connector stays failed "
        "until somebody restarts it.",
        ("failed task",),
    ),
    "tombstone": Word(
        "A record with a key and no value: it says that the key is deleted. Compaction removes the key, and later the "
        "tombstone (delete.retention.ms).",
        ("delete.retention.ms",),
    ),
    "topic": Word(
        "A named log of records, split into partitions. Producers write to it, and any number of groups read it."
    ),
    "transaction": Word(
        "Writes to several partitions, and commits of offsets, of which all or none count. read_committed consumers "
        "see them when the transaction is committed.",
        ("transactional.id", "transaction.timeout.ms", "exactly-once"),
    ),
    "unclean leader election": Word(
        "A replica that is not in sync becomes the leader because no other is left. The partition can be used again, "
        "and acknowledged records are lost.",
        ("unclean.leader.election.enable",),
    ),
    "under-replicated": Word(
        "A partition is under-replicated while one of its replicas is not in sync. It works, but another failure "
        "hurts.",
        ("under-replicated partition", "offline partition"),
    ),
    "worker": Word(
        "A process of Kafka Connect that runs connectors and their tasks: alone (standalone), or in a group of "
        "workers (distributed).",
        ("standalone", "distributed", "connect worker"),
    ),
    "zombie fencing": Word(
        "A process that stood still and was replaced is refused when it wakes up. The coordinator knows its old epoch "
        "or generation.",
        ("zombie", "fencing", "fenced"),
    ),
}
"""By name, in lower case and the singular."""


def find(name: str) -> str | None:
    """The word that is meant by a name: itself, another word for it, or its plural, in capitals or not."""
    asked = " ".join(name.lower().split())
    for candidate in (asked, asked.removesuffix("s")):
        for word, entry in WORDS.items():
            if candidate == word or candidate in entry.also:
                return word
    return None
