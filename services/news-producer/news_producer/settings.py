"""Settings of the producer: what it sends, where the records come from, and how it tunes the client."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from newsroom.places import packaged
from newsroom.settings import ServiceSettings
from newsroom.topics import MYTOPIC, NEWS

GENERATOR = "generator"
LAB = "lab"
STDIN = "-"
LATEST = "latest"
FEED_SCHEMES = ("http://", "https://")

InputFormat = Literal["auto", "jsonl", "csv", "lines"]


class ProducerSettings(ServiceSettings):
    """Sends records to a topic and accounts for the delivery of each one.

    The records are headlines as Avro, from a generator, feeds, files or standard input, or the lab's rounds as text.
    """

    EXAMPLES: ClassVar = (
        ("--rate 5", "send five generated headlines a second to the topic news, until Ctrl-C"),
        ("--format string --rounds 6", "send six rounds of the lab, 42 records each, to the topic mytopic"),
    )

    model_config = SettingsConfigDict(
        env_prefix="NEWSROOM_PRODUCER_", cli_shortcuts={"schema-path": "schema", "register-schema": "register"}
    )

    format: Literal["avro", "string"] = Field(
        default="avro", description="avro sends News records; string sends text (without --source the lab's rounds)"
    )
    topic: str = Field(default="", description="topic to write to; the default is news (avro) or mytopic (string)")
    source: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="source of records: generator, an RSS or Atom feed's address, a file, or - for standard input; "
        "repeat the option for several (in the variable one a line); the default is generator (avro) or the lab's "
        "rounds (string)",
    )
    input_format: InputFormat = Field(
        default="auto", description="format of files and standard input; auto chooses by the file's ending, else lines"
    )
    skip_bad_lines: bool = Field(default=False, description="log, count and skip bad input lines instead of stopping")
    seed: int | None = Field(
        default=None, description="number that makes the generator's headlines and ids, and skewed keys, repeatable"
    )
    poll_interval: float = Field(default=60.0, gt=0, description="seconds between two polls of a feed")
    once: bool = Field(default=False, description="poll each feed once, then end")
    rounds: int = Field(default=1, ge=1, description="lab rounds to send, 42 records each (string without --source)")
    rate: float = Field(default=0.0, ge=0, description="records per second; 0 sends as fast as possible")
    count: int = Field(default=0, ge=0, description="records to send; 0 sends until the sources end")
    key: Literal["own", "none", "fixed", "skewed"] = Field(
        default="own",
        description="key of a record: its own, none, the same for every record (see --fixed-key), or skewed: key0 for "
        "four of five records, key1 to key20 for the others",
    )
    fixed_key: str = Field(default="my key", description="key of every record with --key fixed")
    acks: Literal["0", "1", "all"] = Field(
        default="all", description="who must acknowledge a record: nobody, the leader, or all in-sync replicas"
    )
    idempotence: bool = Field(
        default=True,
        description="prevent duplicates after retries; this needs --acks all, and is off by default with other acks",
    )
    linger_ms: float = Field(default=5.0, ge=0, le=900_000, description="milliseconds to wait for a fuller batch")
    batch_size: int = Field(default=1_000_000, ge=1, le=2_147_483_647, description="largest batch in bytes")
    max_message_bytes: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="largest batch that the topic takes, in bytes (max.message.bytes); 0 asks the cluster",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="none", description="codec that compresses batches"
    )
    sticky_linger_ms: int | None = Field(
        default=None,
        ge=0,
        le=900_000,
        description="milliseconds that records without a key stay on one partition; 0 chooses anew for each record",
    )
    message_timeout: float = Field(
        default=120.0, gt=0, le=86_400, description="seconds that a record's delivery may take (delivery.timeout.ms)"
    )
    flush: Literal["each", "end"] = Field(default="end", description="wait for delivery per record or at the end")
    schema_path: Path = Field(
        default=packaged("schemas", "news.avsc"),
        description="file with the Avro schema; latest: the latest version of the subject, whoever registered it",
    )
    subject: str = Field(default="", description="subject of the schema in the registry; the default is TOPIC-value")
    register_schema: bool = Field(
        default=True, description="register the schema; with --no-register the subject must have it already"
    )
    registry_timeout: float = Field(
        default=60.0, ge=0, description="seconds to keep asking a schema registry that does not answer"
    )

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - pydantic's own signature
        argv = values.get("_cli_parse_args")
        if isinstance(argv, list):
            # pydantic keeps only the last value of an option, and splits it at commas.
            sources, values["_cli_parse_args"] = _values_of(argv, "--source")
            values |= {"source": tuple(sources)} if sources else {}
        super().__init__(**values)

    @field_validator("source", mode="before")
    @classmethod
    def _split_lines(cls, value: str | tuple[str, ...]) -> tuple[str, ...]:
        # A comma may be part of an address or of a file's name.
        lines = value.splitlines() if isinstance(value, str) else value
        return tuple(line.strip() for line in lines if line.strip())

    @model_validator(mode="after")
    def _idempotence_needs_all_acks(self) -> Self:
        # As in the Java client: other acks switch off the default, but contradict an explicit --idempotence.
        if self.acks != "all" and self.idempotence and "idempotence" in self.model_fields_set:
            message = f"idempotence needs acks=all, got acks={self.acks}: use --acks all, or --no-idempotence"
            raise ValueError(message)
        if self.message_timeout * 1000 <= self.linger_ms:
            message = f"--message-timeout {self.message_timeout} s must be longer than --linger-ms {self.linger_ms}"
            raise ValueError(message)
        return self

    @property
    def topic_name(self) -> str:
        """The topic that the producer writes to."""
        return self.topic or (NEWS.name if self.format == "avro" else MYTOPIC.name)

    @property
    def subject_name(self) -> str:
        """The subject of the schema."""
        return self.subject or f"{self.topic_name}-value"

    @property
    def latest_schema(self) -> bool:
        """Whether the schema is the latest version of the subject, which is used as it is."""
        return str(self.schema_path) == LATEST

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources, or the default source of the format."""
        return self.source or ((GENERATOR,) if self.format == "avro" else (LAB,))

    def client(self, client_id: str) -> dict[str, Any]:
        """Return the configuration of the librdkafka producer."""
        return self.producer_config(
            client_id,
            acks=self.acks,
            enable_idempotence=self.idempotence and self.acks == "all",
            linger_ms=self.linger_ms,
            batch_size=self.batch_size,
            compression_type=self.compression,
            sticky_partitioning_linger_ms=self.sticky_linger_ms,
            delivery_timeout_ms=max(1, round(self.message_timeout * 1000)),
        )


def _values_of(argv: list[str], option: str) -> tuple[list[str], list[str]]:
    """Return the values of an option, and the other arguments."""
    values: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == option and (value := next(words, None)) is not None:
            values.append(value)
        elif word.startswith(f"{option}="):
            values.append(word.partition("=")[2])
        else:
            rest.append(word)
    return values, rest
