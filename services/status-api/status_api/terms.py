"""The terms of the page, each with a sentence that explains it."""

from __future__ import annotations

TERMS = {
    "lag": "The records that a group has yet to read: the end offset of a partition minus the committed offset.",
    "committed": "The offset from which a group reads on after a restart: it says what is done.",
    "end": "The offset that the next record of the partition gets.",
    "group": "Consumers that share the partitions of their topics: each partition has one owner in a group.",
    "member": "One consumer of a group. Kafka gives it partitions as long as it answers.",
    "partition": "A part of a topic, in which the order of records is kept. It has one leader at a time.",
    "leader": "The broker that takes all writes of a partition; the other replicas copy from it.",
    "in sync": "Replicas that have copied everything. With acks=all a write waits for all of them.",
    "min in sync": "min.insync.replicas: with fewer replicas in sync, the partition refuses writes with acks=all.",
    "controller": "The broker that leads the metadata quorum: it elects the leaders of partitions.",
    "coordinator": "The broker that keeps a group's members and committed offsets.",
    "rebalance": "Kafka deals out a group's partitions again, because a member or a partition came or went.",
    "epoch": "A number that grows with each rebalance of a group. Classic groups do not tell theirs: the page counts.",
    "without owner": "For how long the group named no owner of a partition. Nobody reads it in that time.",
    "dead letter": "A record that a consumer cannot read. It is sent to a topic of its own, and the consumer goes on.",
    "connector": "A part of Kafka Connect that copies between Kafka and another system. Its tasks do the work.",
    "schema": "The fields of a record and their types. The registry checks each new version against the earlier ones.",
    "stop words": "The most frequent words of English, such as the, of and to, which say little about a text.",
}

_WORDS = """
    a about after all also an and any are as at be because been before but by can could did do does for from get
    had has have he her here him his how i if in into is it its just may me more most my new no not now of off on one
    only or other our out over s say says she should so some such t than that the their them then there these they
    this to under up us was we were what when where which who why will with would you your
"""
STOP_WORDS = frozenset(_WORDS.split())
"""Words of English that say little about a text."""
