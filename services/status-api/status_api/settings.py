"""Settings of the status API."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from newsroom.settings import ServiceSettings
from status_api.surroundings import check_url, parse_links, parse_services

SHORTEST_TOKEN = 16
"""Characters. With the limit of requests, nobody guesses one of this length."""


class StatusSettings(ServiceSettings):
    """Shows brokers, topics, consumer groups and lag of a cluster as a page, JSON and metrics."""

    EXAMPLES: ClassVar = (
        ("--http-port 8000", "serve the page at http://127.0.0.1:8000"),
        ("--bootstrap-servers kafka.example:9092 --http-port 0", "watch another cluster, on a free port"),
    )

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_STATUS_")

    http_host: str = Field(default="127.0.0.1", description="address of the page, the API and the metrics")
    http_port: int = Field(default=8000, ge=0, le=65535, description="port on that address; 0 takes a free one")
    public_url: str = Field(
        default="",
        description="address under which a browser reaches the page, for the log; the default is made of host and port",
    )
    allowed_hosts: str = Field(
        default="",
        description="further names under which clients may reach the page, as NAME[,NAME…]; IP addresses, localhost, "
        "--http-host and the name in --public-url are allowed always",
    )
    token: SecretStr | None = Field(
        default=None,
        description="secret of 16 characters or more that a reader must send as 'Authorization: Bearer TOKEN', and a "
        "browser once as ?token=TOKEN; without it everybody who reaches the address may read",
    )
    rate: float = Field(
        default=100.0,
        ge=0,
        description="requests a second that one client address may make, averaged over ten seconds; 0 sets no limit",
    )
    refresh: float = Field(default=1.0, ge=0.2, le=60.0, description="seconds between two snapshots of the cluster")
    request_timeout: float = Field(
        # Three steps of a snapshot wait for a broker that has just died, up to a second after the last snapshot.
        # That must take less than the five seconds after which the snapshot is stale.
        default=1.2,
        ge=0.2,
        le=4.0,
        description="seconds that the cluster may take to answer one step of a snapshot",
    )
    records: bool = Field(
        default=True, description="let the page and the API show the last records of a topic; false turns that off"
    )
    registry_url: str = Field(
        default="", description="schema registry whose subjects are shown, as URL[,URL…]; empty shows none"
    )
    connect_url: str = Field(
        default="", description="REST API of Kafka Connect whose connectors are shown, as a URL; empty shows none"
    )
    services: str = Field(
        default="",
        description="services whose readiness is shown, as NAME=http://HOST:PORT[,…]; FIRST-LAST are the ports of "
        "several replicas, of which the first must answer; empty shows none",
    )
    links: str = Field(
        default="", description="further pages to which the page links, as NAME=URL[,…]; empty links to none"
    )
    max_words: int = Field(
        default=200_000, ge=100, description="words kept in memory; the API reports that further words are not counted"
    )
    news_group: str = Field(default="avro-consumer", description="group shown as the consumer of news")
    wordcount_group: str = Field(default="wordcount-stream", description="group shown as the word count")
    join_group: str = Field(default="join-service", description="group shown as the join")
    connector_group: str = Field(
        default="connect-local-file-sink", description="the FileStream sink's group, whose committed offsets are shown"
    )

    @field_validator("token")
    @classmethod
    def _known_token(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value is not None else None
        if text is not None and not (
            len(text) >= SHORTEST_TOKEN and text.isascii() and text.isprintable() and " " not in text
        ):
            raise ValueError(f"a token has at least {SHORTEST_TOKEN} characters, of ASCII and without spaces")
        return value

    @field_validator("registry_url", "connect_url")
    @classmethod
    def _known_urls(cls, value: str) -> str:
        if value.startswith("mock://"):
            return ""  # an in-memory registry lives in the process of another service
        return ",".join(check_url(url.strip()) for url in value.split(","))

    @field_validator("services")
    @classmethod
    def _known_services(cls, value: str) -> str:
        parse_services(value)
        return value

    @field_validator("links")
    @classmethod
    def _known_links(cls, value: str) -> str:
        parse_links(value)
        return value
