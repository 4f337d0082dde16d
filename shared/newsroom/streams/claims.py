"""What a group says about itself in the metadata of its committed offsets: which topics it read and writes.

An offset belongs to a topic's id and not to its name, and an output has one owner. Kafka keeps the metadata with the
offset, so both are true of exactly what was committed: decision 12.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

PREFIX, SEPARATOR, SUFFIX = "changelog__", "--", "--default"
"""The parts of a changelog's name, beside the group and the sources."""

BEFORE = {
    "word-deltas": ("word-deltas", "word-counts"),
    "word--word-counts": ("words-joined",),
}
"""What a group writes whose commits do not say so, by the sources in the name of its changelog: names were fixed."""


@dataclass(frozen=True)
class Claim:
    """What a commit says: the id of the topic whose offset it is, and what the group writes."""

    topic_id: str
    writes: tuple[str, ...]

    def text(self) -> str:
        """The claim as a commit's metadata."""
        return json.dumps({"topic": self.topic_id, "writes": self.writes}, separators=(",", ":"))


def read_claim(metadata: str | None) -> Claim | None:
    """The claim in a commit's metadata; None if another program committed, or an earlier version."""
    try:
        said: Any = json.loads(metadata or "")
        return Claim(str(said["topic"]), tuple(map(str, said["writes"])))
    except (ValueError, KeyError, TypeError):
        return None


def claims_of(ids: Mapping[str, str], writes: Iterable[str]) -> dict[str, str]:
    """The metadata for the commits of each topic that a service reads, by topic."""
    outputs = tuple(sorted(writes))
    return {topic: Claim(topic_id, outputs).text() for topic, topic_id in ids.items()}


def made_anew(committed: Iterable[Any], ids: Mapping[str, str]) -> list[str]:
    """The topics whose committed offsets belong to an earlier topic of the same name."""
    claims = ((commit.topic, read_claim(commit.metadata)) for commit in committed if commit.offset >= 0)
    return sorted({topic for topic, claim in claims if claim is not None and claim.topic_id != ids[topic]})


def changelog_owners(topics: Collection[str]) -> dict[str, set[str]]:
    """The groups that changelogs are named after, each with the sources of its changelogs, joined as in the name.

    A group's id may have the separator in it, so a name can be read in several ways: all of those whose sources exist.
    """
    owners: dict[str, set[str]] = {}
    for name in topics:
        if name.startswith(PREFIX) and name.endswith(SUFFIX):
            words = name.removeprefix(PREFIX).removesuffix(SUFFIX).split(SEPARATOR)
            for number in range(1, len(words)):
                if all(source in topics for source in words[number:]):
                    owners.setdefault(SEPARATOR.join(words[:number]), set()).add(SEPARATOR.join(words[number:]))
    return owners


def outputs_of(committed: Iterable[Any], sources: Iterable[str]) -> set[str]:
    """What a group with these commits writes; if they do not say so, its changelogs tell. No commits: nothing yet."""
    commits = [commit for commit in committed if commit.offset >= 0]
    claims = [claim for commit in commits if (claim := read_claim(commit.metadata)) is not None]
    if claims or not commits:
        return {output for claim in claims for output in claim.writes}
    return {output for source in sources for output in BEFORE.get(source, ())}
