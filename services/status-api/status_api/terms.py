"""The terms of the page, each with a sentence that explains it."""

from __future__ import annotations

from newsroom.words import WORDS

_EXPLAINED = {
    "lag": "lag",
    "committed": "committed offset",
    "group": "consumer group",
    "member": "member",
    "partition": "partition",
    "leader": "leader",
    "in sync": "in-sync replica",
    "controller": "controller",
    "coordinator": "coordinator",
    "rebalance": "rebalance",
    "dead letter": "dead letter",
    "connector": "connector",
    "schema": "schema",
}
"""The page's terms that `newsroom explain` knows, by the word there."""

TERMS = {term: WORDS[word].short for term, word in _EXPLAINED.items()} | {
    "end": "The offset that the next record of the partition gets.",
    "min in sync": "min.insync.replicas: with fewer replicas in sync, the partition refuses writes with acks=all.",
    "epoch": "A number that grows with each rebalance of a group. Classic groups do not tell theirs: the page counts.",
    "without owner": "For how long the group named no owner of a partition. Nobody reads it in that time.",
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
