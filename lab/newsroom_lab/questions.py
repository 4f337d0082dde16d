"""Open questions of the quiz: what a reader should be able to explain, with a model answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Question:
    """A question without options, and what a good answer says."""

    name: str
    text: str
    answer: str
    experiments: tuple[str, ...]
    """Those that show it."""


QUESTIONS: Final = (
    Question(
        "key-or-not",
        "You write orders of customers to a topic. Which key do you give them, and what can go wrong with it?",
        "The customer's id: all orders of a customer are then in one partition and in order. A customer with most of "
        "the orders makes one partition hot, which more partitions do not help. Adding partitions later moves keys, "
        "so choose their number with room to grow.",
        ("one-key", "hot-key"),
    ),
    Question(
        "how-many-partitions",
        "How do you choose the number of partitions of a topic?",
        "By the number of consumers that must work side by side at the peak, since a partition has one owner in a "
        "group; with room, because adding partitions moves keys. More partitions cost file handles, memory, and time "
        "at elections and rebalances.",
        ("members", "hot-key"),
    ),
    Question(
        "not-lost",
        "Which settings together make sure that an acknowledged record survives the loss of one broker?",
        "Replication factor 3, min.insync.replicas 2, acks=all, and unclean.leader.election.enable=false. Each of "
        "them alone is not enough: acks=all with one replica in sync waits for one, and an unclean election forgets "
        "what was acknowledged.",
        ("acks", "min-isr", "unclean-election"),
    ),
    Question(
        "written-twice",
        "How can a record be in a topic twice although the program sent it once, and what prevents it?",
        "The broker stored it, but its answer came too late or not at all, and the producer sent it again. An "
        "idempotent producer numbers its records and the broker drops the second. It does not help when the program "
        "itself sends again after a restart; that takes transactions, or a consumer that knows ids.",
        ("idempotence", "zombie"),
    ),
    Question(
        "exactly-once",
        "Somebody says that Kafka delivers exactly once. What do you answer?",
        "Inside Kafka, from topic to topic in one transaction with the offsets, for readers with read_committed: yes. "
        "As soon as an effect is outside, such as a database or a mail, that system must take part: offsets in its "
        "transaction, or effects that may be repeated without harm.",
        ("crash", "delivery-modes", "open-transaction"),
    ),
    Question(
        "again-and-again",
        "A consumer reads the same records at every start. What do you look at first?",
        "The group's committed offsets: `newsroom groups describe GROUP`. If there are none, nobody commits, or the "
        "group has a new name at each start. If there are some, somebody resets them, or the records were deleted and "
        "auto.offset.reset decides.",
        ("commits", "new-group", "retention"),
    ),
    Question(
        "lag-grows",
        "The lag of a group grows. Which causes are there, and how do you tell them apart?",
        "No member runs (the group is empty); members are slower than the producers (all partitions grow); one key is "
        "hot, or one member hangs (one partition grows); a poison record (one partition stands still at one offset); "
        "an open transaction (the last stable offset stands still).",
        ("lag", "hot-key", "poison", "open-transaction"),
    ),
    Question(
        "restart-a-service",
        "You restart the members of a group one after the other. What do the readers of the result notice, and what "
        "makes it less?",
        "A rebalance for each member that leaves and comes: with the eager protocol everything stops for a moment, "
        "with the cooperative one or KIP-848 only the partitions that move. With static membership a member that is "
        "back within its session causes none.",
        ("protocols", "members"),
    ),
    Question(
        "change-a-schema",
        "You want to rename a field of an Avro record while old records and old readers are there. How?",
        "Not in one step: a rename is a new field plus a removed one. Add the new field with a default (or an alias), "
        "write both, move the readers, then stop writing the old one and remove it. The registry's compatibility rule "
        "checks each step.",
        ("evolution",),
    ),
    Question(
        "why-avro",
        "What do you gain with Avro and a registry over JSON, and what do you pay?",
        "Small records, since names are in the schema; types; and a gate that refuses changes which break readers. "
        "You pay with a server that must be there when a new schema comes, and with records that no tool can read "
        "without it.",
        ("avro-is-small", "bytes-on-the-wire", "evolution"),
    ),
    Question(
        "one-bad-record",
        "What may a consumer do with a record that it cannot read, and which way do you choose when?",
        "Stop: right if order and completeness matter more than going on. Skip: only if records may be lost. Write it "
        "to a dead-letter topic and go on: the usual way, if somebody looks at that topic and sends records again.",
        ("poison",),
    ),
    Question(
        "missing-joins",
        "A join gives results for some keys only, and no error. What do you check?",
        "Whether both topics have the same number of partitions, and each key is on the same partition of both: "
        "another partitioner puts it elsewhere. Then whether the table's record came before the stream's.",
        ("partitioner-trap",),
    ),
    Question(
        "queue-or-log",
        "When is a share group better than a consumer group?",
        "When records are jobs that stand for themselves, take long or unevenly long, and more workers than "
        "partitions are of use. Not when records of a key must be processed in order.",
        ("share-group", "members"),
    ),
    Question(
        "broker-away",
        "One of three brokers is down. What still works, and what do you look at before you restart it?",
        "Leaders move, so reading and writing go on, if min.insync.replicas leaves room. Look at under-replicated "
        "partitions, and at those below their minimum: do not take a second broker away until all replicas are in "
        "sync.",
        ("replicas", "brokers", "min-isr"),
    ),
)
