"""Settings of the avro-consumer."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from newsroom.settings import ServiceSettings
from newsroom.topics import MYTOPIC, NEWS, NEWS_DLQ


class AvroConsumerSettings(ServiceSettings):
    """What the avro-consumer reads, as which member, and where it puts records."""

    format: Literal["avro", "string"] = Field(
        default="avro", description="what values are: Avro in the registry's wire format, or strings"
    )
    topic: str = Field(
        default="", description=f"topic to read; empty is {NEWS.name} with format avro, {MYTOPIC.name} with string"
    )
    group: str = Field(
        default="", description="consumer group; empty is avro-consumer with format avro, string-consumer with string"
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", description="classic (cooperative-sticky), or consumer: the broker assigns (KIP-848)"
    )
    session_timeout: float = Field(
        default=10.0,
        ge=1.0,
        description="seconds without a heartbeat until a dead member's partitions move; classic protocol only, "
        "brokers refuse less than their group.min.session.timeout.ms",
    )
    static_membership: bool = Field(
        default=False, description="keep the member's identity over a restart (group.instance.id = GROUP-SLOT)"
    )
    state_dir: Path = Field(
        default=Path(".newsroom/data/state/avro-consumer"), description="folder of the replicas' identities"
    )
    sink: Path | None = Field(
        default=None,
        description="also write JSON lines: FOLDER (consumed-SLOT.jsonl in it) or FILE.jsonl (FILE-SLOT.jsonl)",
    )
    reader_schema: Path | None = Field(
        default=None, description="Avro schema file whose shape records are read in; empty is the writer's"
    )
    batch_size: int = Field(default=500, ge=1, description="most records of one turn, written and committed together")
    dlq_topic: str = Field(default=NEWS_DLQ.name, min_length=1, description="where poison records go")
    dlq_timeout: float = Field(default=30.0, gt=0, description="seconds to wait for the delivery of dead letters")
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to keep asking a schema registry that does not answer"
    )
    start_timeout: float = Field(default=60.0, gt=0, description="seconds to wait for brokers and topic at the start")
    count: int = Field(default=0, ge=0, description="records to stop after; 0 runs for ever")
    idle_exit: float | None = Field(
        default=None, gt=0, description="seconds without a record to stop after; empty runs for ever"
    )

    @property
    def source(self) -> str:
        """The topic that is read."""
        return self.topic or (NEWS.name if self.format == "avro" else MYTOPIC.name)

    @property
    def group_id(self) -> str:
        """The consumer group. Strings are no business of the group that reads news: its lag would count them, too."""
        return self.group or ("avro-consumer" if self.format == "avro" else "string-consumer")

    @model_validator(mode="after")
    def _poison_leaves_the_topic(self) -> Self:
        if self.source == self.dlq_topic:
            # A poison record would be read again as its own dead letter, for ever.
            message = f"topic and dlq_topic are both {self.dlq_topic}: name another dlq_topic"
            raise ValueError(message)
        return self

    def member_config(self, slot: int | None) -> dict[str, object]:
        """Parameters of the group member; `slot` is the replica's identity, when it has one."""
        client_id = "avro-consumer" if slot is None else f"avro-consumer-{slot}"
        config: dict[str, object] = self.consumer_config(client_id, self.group_id) | {
            # A broker that hangs is given up after this, not after a minute.
            "socket.timeout.ms": 5000,
            # syslog's "warning": during an outage every timed-out request is an "info".
            "log_level": 4,
            "statistics.interval.ms": 1000,
        }
        if self.group_protocol == "consumer":
            # KIP-848: session, heartbeat and assignor are the broker's; librdkafka refuses them here.
            config["group.protocol"] = "consumer"
        else:
            config["partition.assignment.strategy"] = "cooperative-sticky"
            config["session.timeout.ms"] = int(self.session_timeout * 1000)
        if self.static_membership and slot is not None:
            config["group.instance.id"] = f"{self.group_id}-{slot}"
        return config
