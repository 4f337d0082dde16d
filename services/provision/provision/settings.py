"""Settings of the provision job."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from newsroom.settings import ServiceSettings


class ProvisionSettings(ServiceSettings):
    """What the provision job waits for and creates."""

    model_config = SettingsConfigDict(cli_shortcuts={"schema-path": "schema", "connector-path": "connector"})

    timeout: float = Field(default=60.0, gt=0, description="seconds for the whole job, waits included")
    brokers: int = Field(default=3, ge=1, description="brokers to wait for before topics are created")
    registry: bool = Field(default=True, description="set compatibility and register the schema of news")
    schema_path: Path = Field(default=Path("schemas/news.avsc"), description="Avro schema to register under news-value")
    connect_url: str | None = Field(
        default=None,
        description="Kafka Connect to create the connector at, as http://host:port; empty leaves Connect alone "
        "(a standalone worker reads the connector's file itself)",
    )
    connector_path: Path = Field(
        default=Path("kafka-connect-configs/connect-file-sink.properties"),
        description="properties file of the connector",
    )
