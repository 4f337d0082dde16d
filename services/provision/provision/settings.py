"""Settings of the provision job."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.places import packaged
from newsroom.settings import ServiceSettings


class ProvisionSettings(ServiceSettings):
    """Creates and checks the topics, the schema and the connector, then ends: a job that runs before the services."""

    EXAMPLES: ClassVar = (
        ("--brokers 1", "prepare a cluster of one broker"),
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
        default=packaged("schemas", "news.avsc"), description="Avro schema to register under news-value"
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
