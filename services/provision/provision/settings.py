"""Settings of the provision job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.places import packaged
from newsroom.settings import ServiceSettings
from newsroom.topic_settings import (
    LEGAL_NAME,
    LONGEST_NAME,
    NONE,
    CountsTopic,
    JoinedTopic,
    LabelsTopic,
    NewsTopic,
    StringsTopic,
)
from newsroom.topics import (
    ALL_TOPICS,
    MYTOPIC,
    NEWS,
    NEWS_DLQ,
    REGISTRY_GROUPS,
    REPLICATION_FACTOR,
    WORD,
    WORD_COUNTS,
    WORD_DELTAS,
    WORDS_JOINED,
    DeclaredTopic,
    dead_letters_of,
)


class ProvisionSettings(ServiceSettings):
    """Creates and checks the topics, the schema and the connector, then ends: a job that runs before the services."""

    EXAMPLES: ClassVar = (
        ("--brokers 1 --replication-factor 1", "prepare a cluster of one broker"),
        ("--no-registry", "create and check the topics only"),
    )

    model_config = SettingsConfigDict(
        env_prefix="NEWSROOM_PROVISION_", cli_shortcuts={"schema-path": "schema", "connector-path": "connector"}
    )

    timeout: float = Field(default=60.0, gt=0, description="seconds for the whole job, including waits")
    brokers: int = Field(default=3, ge=1, description="number of brokers to wait for before creating missing topics")
    registry: bool = Field(
        default=True, description="set the compatibility in the schema registry and register the schema of news"
    )
    schema_path: Path = Field(
        default=packaged("schemas", "news.avsc"), description="Avro schema to register under --subject"
    )
    connect_url: str | None = Field(
        default=None,
        description="address of the Kafka Connect worker for the connector, as http://host:port; if empty, the job "
        "does not call Connect (a standalone worker reads the connector's file itself)",
    )
    update_connector: bool = Field(
        default=False, description="give an existing connector the file's configuration; by default it keeps its own"
    )
    connector_path: Path = Field(
        default=packaged("kafka-connect-configs", "connect-file-sink.properties"),
        description="properties file that describes the connector",
    )
    strings_topic: StringsTopic = MYTOPIC.name
    news_topic: NewsTopic = NEWS.name
    deltas_topic: str = Field(
        default=WORD_DELTAS.name,
        pattern=LEGAL_NAME,
        max_length=LONGEST_NAME,
        description="internal topic of wordcount-stream; with another group it makes its own",
    )
    counts_topic: CountsTopic = WORD_COUNTS.name
    labels_topic: LabelsTopic = WORD.name
    joined_topic: JoinedTopic = WORDS_JOINED.name
    subject: str = Field(default="", description="subject to register the schema under; empty: NEWS_TOPIC-value")
    forget_groups: str = Field(
        default="",
        description="beginning of the ids of groups that are deleted if they have no members; Apicurio's registry "
        f"leaves three groups {REGISTRY_GROUPS}… behind at each end",
    )
    replication_factor: int = Field(
        default=REPLICATION_FACTOR, ge=1, le=32_767, description="replicas of each topic that is created"
    )

    @property
    def subject_name(self) -> str:
        """The subject of the schema."""
        return self.subject or f"{self.news_topic}-value"

    def declared_topics(self) -> tuple[DeclaredTopic, ...]:
        """The topics with the names that the settings give them."""
        names = {
            MYTOPIC.name: self.strings_topic,
            NEWS.name: self.news_topic,
            NEWS_DLQ.name: NONE if self.news_topic == NONE else dead_letters_of(self.news_topic),
            WORD_DELTAS.name: self.deltas_topic,
            WORD_COUNTS.name: self.counts_topic,
            WORD.name: self.labels_topic,
            WORDS_JOINED.name: self.joined_topic,
        }
        return tuple(
            replace(topic, name=names.get(topic.name, topic.name), replication_factor=self.replication_factor)
            for topic in ALL_TOPICS
            if names.get(topic.name) != NONE
        )
