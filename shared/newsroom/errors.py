"""The errors as one tree. Every message is one sentence for its reader: what failed, where, and what to do.

NewsroomError
├── SettingsError        a setting is missing or wrong; exit code 2
├── TransientError       the same call may succeed later: `newsroom.waiting` repeats it
│   ├── NotYet               a wait is not over yet
│   ├── ClusterUnavailable   no broker answered in time
│   └── RegistryUnavailable  the schema registry did not answer in time
├── LastingFailure       a right, a login, a certificate or an address is wrong; exit code 78
│   └── TopicTaken           another consumer group writes the topic
├── TopicMismatch        a topic does not exist, or is not as declared
├── SchemaRefused        the registry refused a schema as incompatible
├── DecodeError          a record's bytes are not in the format of its topic (poison record)
│   └── SchemaInDoubt        the next records may show that not the record is to blame
├── DeliveryFailed       the cluster refused or lost a record
├── SlotsExhausted       more replicas than the service has identities
├── GroupNotJoined       a consumer group gave a replica no place in time
├── ReplicaFenced        the cluster continued without this replica; a restarted one continues from the last commit
└── StateLost            the input or the changelog that a service's state was built from is gone
"""

from __future__ import annotations


class NewsroomError(Exception):
    """Base of the services' own errors; `str()` is the sentence for the reader.

    `fields` (topic, partition, offset, address, …) tell programs the same: the JSON log line has them.
    """

    exit_code = 1
    """The exit code of the process if nothing handles the error."""

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.fields = fields


class SettingsError(NewsroomError):
    """A setting is missing or wrong."""

    exit_code = 2


class TransientError(NewsroomError):
    """The same call may succeed later; a server may have asked not to come back before `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.0, **fields: object) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class NotYet(TransientError):
    """A wait is not over yet; the message says what is missing."""


class ClusterUnavailable(TransientError):
    """No broker answered before the deadline."""


class RegistryUnavailable(TransientError):
    """The schema registry did not answer before the deadline."""


class LastingFailure(NewsroomError):
    """A right is missing, or a login, a certificate or an address is wrong. Neither waiting nor a restart mends it.

    Its fields are address, principal, operation and resource.
    """

    exit_code = 78
    """EX_CONFIG of sysexits.h: a supervisor does not start the service again."""


class TopicTaken(LastingFailure):
    """Another consumer group writes a topic that this service would write."""


class TopicMismatch(NewsroomError):
    """A topic does not exist, or has other partitions or another replication factor than declared."""


class SchemaRefused(NewsroomError):
    """The registry refused a schema: it is not compatible with the subject's earlier versions."""


class DecodeError(NewsroomError):
    """The bytes of a record cannot be decoded: it is a poison record."""


class SchemaInDoubt(DecodeError):
    """The schema of a record cannot be used. If the next records have it too, then the records are not to blame."""


class DeliveryFailed(NewsroomError):
    """The cluster did not accept at least one record."""


class SlotsExhausted(NewsroomError):
    """Living replicas hold every identity of the service."""


class GroupNotJoined(NewsroomError):
    """A consumer group did not give this replica a place in it before the deadline of the start."""


class ReplicaFenced(NewsroomError):
    """The cluster gave this replica's work to another one; nothing of it was committed. A restart is the remedy."""


class StateLost(NewsroomError):
    """The input that a service built its state from is gone: its results would be wrong."""
