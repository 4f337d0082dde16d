"""What can go wrong, as one tree. Every message is one sentence for its reader: what failed, where, what to do.

NewsroomError
├── SettingsError        a setting is missing or wrong; exit code 2
├── TransientError       the same call may succeed later: what `newsroom.waiting` asks again
│   ├── NotYet               what is waited for is not there yet
│   ├── ClusterUnavailable   no broker answered in time
│   └── RegistryUnavailable  the schema registry did not answer in time
├── TopicMismatch        a topic exists, but not as declared
├── SchemaRefused        the registry refused a schema as incompatible
├── DecodeError          a record's bytes are not what its topic promises (poison record)
├── DeliveryFailed       the cluster refused or lost a record
├── SlotsExhausted       more replicas than the service has identities
├── ReplicaFenced        the cluster went on without this replica; started again, it goes on from the last commit
└── StateLost            the input or the changelog that a service's state was built from is gone
"""

from __future__ import annotations


class NewsroomError(Exception):
    """Base of every error the services raise themselves; `str()` is the sentence for the reader.

    `fields` (topic, partition, offset, address, …) say the same to programs: they stand in the JSON log line.
    """

    exit_code = 1
    """What the process exits with when nobody handles the error."""

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields = fields


class SettingsError(NewsroomError):
    """A setting is missing or wrong."""

    exit_code = 2


class TransientError(NewsroomError):
    """The same call may succeed later."""


class NotYet(TransientError):
    """What is waited for is not there yet; the message says what is there instead."""


class ClusterUnavailable(TransientError):
    """No broker answered before the deadline."""


class RegistryUnavailable(TransientError):
    """The schema registry did not answer before the deadline."""


class TopicMismatch(NewsroomError):
    """A topic exists with other partitions or another replication factor than declared."""


class SchemaRefused(NewsroomError):
    """The registry refused a schema: it is not compatible with the subject's earlier versions."""


class DecodeError(NewsroomError):
    """The bytes of a record cannot be decoded: a poison record."""


class DeliveryFailed(NewsroomError):
    """At least one record was not delivered."""


class SlotsExhausted(NewsroomError):
    """Every identity of the service is taken by a living replica."""


class ReplicaFenced(NewsroomError):
    """The cluster took this replica's work away; nothing of it was committed. Starting it again is the remedy."""


class StateLost(NewsroomError):
    """The input that a service's state was built from is gone: going on would give wrong results."""
