"""Settings of the avro-consumer."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from newsroom.places import state_folder
from newsroom.settings import FIRST_ANSWER_MS, HEARTBEAT_MILLISECONDS, ServiceSettings
from newsroom.topics import MYTOPIC, NEWS, NEWS_DLQ

FETCH_PAUSE_MILLISECONDS = 10

COOPERATIVE, EAGER = "cooperative-sticky", "range"
"""How the classic protocol hands partitions over: those that move, or all of them at once."""


class AvroConsumerSettings(ServiceSettings):
    """Reads a topic as a member of a consumer group, and sends poison records to a dead-letter topic."""

    EXAMPLES: ClassVar = (
        ("--count 10", "read ten records of the topic news, commit them and stop"),
        (
            "--format string --group mine --idle-exit 5",
            "read mytopic with an own group, until 5 s pass in silence",
        ),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_CONSUMER_")

    format: Literal["avro", "string"] = Field(
        default="avro", description="format of the values: avro (the registry's wire format) or string"
    )
    topic: str = Field(
        default="", description=f"topic to read; empty: {NEWS.name} for format avro, {MYTOPIC.name} for string"
    )
    group: str = Field(
        default="", description="consumer group; empty: avro-consumer for format avro, string-consumer for string"
    )
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic",
        description="classic (cooperative-sticky; range with static membership) or consumer (KIP-848: the broker "
        "assigns partitions)",
    )
    session_timeout: float = Field(
        default=10.0,
        ge=1.0,
        description="seconds without a heartbeat before the group gives a member's partitions to others; classic "
        "protocol only, at least the brokers' group.min.session.timeout.ms",
    )
    static_membership: bool = Field(
        default=False,
        description="keep the member's identity across restarts (group.instance.id = GROUP-SLOT); classic members then "
        "rebalance eagerly, so replicas of a group must agree on this",
    )
    state_dir: Path = Field(
        default=state_folder("avro-consumer"), description="folder for the replicas' identities (slots)"
    )
    sink: Path | None = Field(
        default=None,
        description="also write JSON lines: to FOLDER (FOLDER/consumed-SLOT.jsonl) or FILE.jsonl (FILE-SLOT.jsonl)",
    )
    delivery: Literal["at-least-once", "at-most-once", "exactly-once", "never", "auto"] = Field(
        default="at-least-once",
        description="what a crash may do to the last records. at-least-once commits after the effect: none is lost, "
        "some may be repeated. at-most-once commits before it: none is repeated, some may be lost. exactly-once stores "
        "rows and offsets in one transaction of --database: none is lost or repeated, and a replica that has lost a "
        "partition cannot write. never commits nothing: each start reads everything again. auto lets the client commit "
        "what it has handed out, every --auto-commit-interval seconds: some may be lost and some repeated",
    )
    auto_commit_interval: float = Field(
        default=5.0, gt=0, le=3600, description="seconds between the client's own commits with --delivery auto"
    )
    database: SecretStr | None = Field(
        default=None,
        description="database for exactly-once, as SQLAlchemy's URL: sqlite:///FILE, or for several machines "
        "postgresql+psycopg://USER:PASSWORD@HOST/NAME; empty: consumed.sqlite in --state-dir",
    )
    database_timeout: float = Field(
        default=60.0, ge=0, description="seconds to retry while the database does not answer"
    )
    reader_schema: Path | None = Field(
        default=None, description="Avro schema file to read the records with; empty: each record's writer schema"
    )
    batch_size: int = Field(
        default=5000, ge=1, description="maximum number of records that are written and committed together"
    )
    dlq_topic: str = Field(default=NEWS_DLQ.name, min_length=1, description="dead-letter topic for poison records")
    dlq_timeout: float = Field(default=30.0, gt=0, description="seconds to wait for the delivery of dead letters")
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to retry while the schema registry does not answer"
    )
    start_timeout: float = Field(
        default=60.0, gt=0, description="seconds to wait for the brokers and the topic at startup"
    )
    count: int = Field(default=0, ge=0, description="stop after this many records; 0: never")
    until_end: bool = Field(
        default=False, description="stop when this member has read its partitions up to where they end at the start"
    )
    idle_exit: float | None = Field(
        default=None, gt=0, description="stop after this many seconds without a record; empty: never"
    )

    @property
    def source(self) -> str:
        """The topic to read."""
        return self.topic or (NEWS.name if self.format == "avro" else MYTOPIC.name)

    @property
    def group_id(self) -> str:
        """The consumer group. Each format has its own, so that the lag of avro-consumer counts only news."""
        return self.group or ("avro-consumer" if self.format == "avro" else "string-consumer")

    @field_validator("group")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if value and not value.strip():
            raise ValueError("a group id must not be blank")
        return value

    @model_validator(mode="after")
    def _poison_leaves_the_topic(self) -> Self:
        if self.source == self.dlq_topic:
            # Each dead letter would be read as a poison record again, forever.
            message = f"topic and dlq_topic are both {self.dlq_topic}: set another dlq_topic"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _effects_fit_the_promise(self) -> Self:
        if self.delivery == "exactly-once" and self.sink is not None:
            raise ValueError(
                "a file cannot be part of a transaction: set --database instead of --sink for exactly-once"
            )
        if self.delivery != "exactly-once" and self.database is not None:
            message = f"--database is for --delivery exactly-once, not for {self.delivery}: set --sink instead"
            raise ValueError(message)
        return self

    @property
    def database_url(self) -> str:
        """The URL of the database for exactly-once."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"sqlite:///{self.state_dir / 'consumed.sqlite'}"

    def member_config(self, slot: int | None) -> dict[str, object]:
        """Return the client's configuration; `slot` is the replica's identity, if it has one."""
        client_id = "avro-consumer" if slot is None else f"avro-consumer-{slot}"
        config: dict[str, object] = self.consumer_config(client_id, self.group_id) | {
            # The client abandons a hanging broker after this time. The default is a minute.
            "socket.timeout.ms": 5000,
            "api.version.request.timeout.ms": FIRST_ANSWER_MS,
            # 4 is syslog's "warning": during an outage librdkafka logs every timed-out request as "info".
            "log_level": 4,
            "statistics.interval.ms": 1000,
            # How long the client stops fetching when it has enough. The default of a second leaves a fast reader idle.
            "fetch.queue.backoff.ms": FETCH_PAUSE_MILLISECONDS,
        }
        if self.group_protocol == "consumer":
            # KIP-848: the broker sets session, heartbeat and assignor. librdkafka refuses them here.
            config["group.protocol"] = "consumer"
        else:
            # A cooperative handover can lose partitions of static members (decision 15).
            config["partition.assignment.strategy"] = EAGER if self.static_membership else COOPERATIVE
            config["session.timeout.ms"] = int(self.session_timeout * 1000)
            config["heartbeat.interval.ms"] = HEARTBEAT_MILLISECONDS
        if self.static_membership and slot is not None:
            config["group.instance.id"] = f"{self.group_id}-{slot}"
        if self.delivery == "auto":
            config |= {"enable.auto.commit": True, "auto.commit.interval.ms": int(self.auto_commit_interval * 1000)}
        if self.until_end:
            config["enable.partition.eof"] = True
        return config | self.properties()
