"""Settings: `NEWSROOM_…` environment variables and command-line options.

A service has one frozen class derived from `ServiceSettings`, built once in its `main` and passed down. `NEWSROOM_X`
sets what all services share. A service's own settings have its prefix (`NEWSROOM_PRODUCER_X`), so that no variable
means two things; with the prefix a shared setting is set for that service alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings import (
    SettingsError as PydanticSettingsError,
)
from typing_extensions import override

from newsroom.addresses import bootstrap_of, port_offset, registry_url_of
from newsroom.certificates import check_authorities, check_pair
from newsroom.client_properties import parse_properties
from newsroom.crash import VARIABLE as CRASH_VARIABLE
from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PARTITIONER = "murmur2_random"
"""Java's and Quix's key hash. librdkafka's own default (CRC32) puts most keys on other partitions, and a join
of two topics partitioned differently misses records without any error."""

METADATA_MS = 20_000
"""How often a consumer looks for new partitions. librdkafka's default is five minutes."""

RECONNECT: dict[str, Any] = {"reconnect.backoff.ms": 100, "reconnect.backoff.max.ms": 1000}
"""A client's pauses between two connections to one broker, which double. A broker that restarts is found again within a
second, not after librdkafka's ten."""

FIRST_ANSWER_MS = 1500
"""How long a member of a group waits for the first answer on a new connection. A living broker gives it at once;
librdkafka gives a paused one ten seconds, each time that it is asked just before its roles move."""

PREFIX = "NEWSROOM_"

SERVICE_PREFIXES = tuple(
    f"{PREFIX}{service}_" for service in ("PRODUCER", "CONSUMER", "WORDCOUNT", "JOIN", "STATUS", "PROVISION")
)
"""The prefixes of the services' own settings. A service names its own in its `model_config`."""

STACK_VARIABLES = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("HOME", "CACHE", "PORT_OFFSET", "DOCKER", "NEWS_RATE", "LAB_RATE", "JVM_LOG_LEVEL"),
        *("NEWS_PRODUCER_REPLICAS", "AVRO_CONSUMER_REPLICAS", "WORDCOUNT_STREAM_REPLICAS", "JOIN_SERVICE_REPLICAS"),
        *("KAFKA_1_PORT", "KAFKA_2_PORT", "KAFKA_3_PORT", "REGISTRY_PORT", "CONNECT_PORT", "STATUS_PORT", "UI_PORT"),
        *("PROMETHEUS_PORT", "GRAFANA_PORT", "JAVA_OPTIONS", "CONNECT_HOST", "CONNECT_OFFSETS", "SINK_FILE"),
    )
)
"""Variables of the stack, the compose file and the Connect worker: services neither read them nor warn about them."""

ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s,;:/@\[\]]+):[0-9]{1,5}")
"""host:port of a broker, with an IPv6 address in brackets. A scheme is for listeners, not for clients."""

LAST_PORT = 65535

HEARTBEAT_MILLISECONDS = 400
"""A member learns of a rebalance from the answer to a heartbeat; until then partitions that move have no owner.
librdkafka's default is 3 s. It looks at its clock each 500 ms, so a value just below sends two heartbeats a second."""

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")


class KafkaSettings(BaseSettings):
    """How to reach a Kafka cluster, ours or someone else's; produces the parameters of librdkafka clients."""

    # The prefix is said here, not with the services: whoever builds this class alone must not take another
    # program's SASL_MECHANISM or REGISTRY_URL for ours.
    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore")

    bootstrap_servers: str = Field(
        default_factory=lambda: bootstrap_of(port_offset()),
        description="brokers to ask first, as host:port[,host:port…]",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how brokers are spoken to"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="SASL mechanism, with a SASL_… security protocol"
    )
    sasl_username: str | None = Field(default=None, description="SASL user")
    sasl_password: SecretStr | None = Field(default=None, description="SASL password")
    sasl_oauthbearer_token_endpoint_url: str | None = Field(
        default=None, description="address that hands out tokens for mechanism OAUTHBEARER (OIDC client credentials)"
    )
    sasl_oauthbearer_client_id: str | None = Field(default=None, description="client at that address")
    sasl_oauthbearer_client_secret: SecretStr | None = Field(default=None, description="its secret")
    sasl_oauthbearer_scope: str | None = Field(default=None, description="scope of the token, if one is asked for")
    ssl_ca_location: Path | None = Field(
        default=None, description="CA certificates to trust, for brokers and for a registry with https (PEM file)"
    )
    ssl_certificate_location: Path | None = Field(
        default=None, description="certificate of this client, for brokers and a registry that require one (PEM file)"
    )
    ssl_key_location: Path | None = Field(default=None, description="private key of this client's certificate (PEM)")
    ssl_key_password: SecretStr | None = Field(default=None, description="password of that key, if it is encrypted")
    registry_url: str = Field(
        default_factory=lambda: registry_url_of(port_offset()),
        description="schema registry with Confluent's API, as URL[,URL…]; mock://NAME is an in-memory one",
    )
    registry_user: str | None = Field(default=None, description="basic authentication of the registry")
    registry_password: SecretStr | None = Field(default=None, description="its password")
    registry_ca_location: Path | None = Field(
        default=None, description="CA certificates of the registry, if they are not those of --ssl-ca-location"
    )

    client_properties: str = Field(
        default="",
        description="properties of librdkafka for every Kafka client, as name=value[,name=value…]; those that a "
        "promise of the service depends on are refused",
    )

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("bootstrap_servers")
    @classmethod
    def _addresses(cls, value: str) -> str:
        """Refuse what librdkafka would only log as a name that cannot be resolved."""
        addresses = [address.strip() for address in value.split(",")]
        for address in addresses:
            port = address.rpartition(":")[2]
            if not ADDRESS.fullmatch(address) or not 0 < int(port) <= LAST_PORT:
                raise ValueError(f"{address!r} is not host:port; write host:port,host:port")
        return ",".join(addresses)

    @model_validator(mode="after")
    def _connection_agrees(self) -> Self:
        """Refuse settings that contradict each other, before a client waits for a broker because of them."""
        self._login_is_complete(self.properties())
        tls = self.security_protocol.endswith("SSL") or self.registry_uses_tls
        for name in ("ssl_ca_location", "ssl_certificate_location"):
            if getattr(self, name) is not None and not tls:
                raise ValueError(
                    f"{_option(name)} is set, but neither security protocol {self.security_protocol} nor the registry "
                    f"uses TLS: set --security-protocol to SSL or SASL_SSL, or unset {_option(name)}"
                )
        for one, other in (("ssl_certificate_location", "ssl_key_location"), ("registry_user", "registry_password")):
            if (getattr(self, one) is None) != (getattr(self, other) is None):
                raise ValueError(f"{_option(one)} and {_option(other)} belong together: set both or none")
        self._certificates_can_be_read()
        return self

    def _login_is_complete(self, properties: Mapping[str, str]) -> None:
        login = ("sasl_mechanism", "sasl_username", "sasl_password")
        token = tuple(f"sasl_oauthbearer_{name}" for name in ("token_endpoint_url", "client_id", "client_secret"))
        bearer = self.sasl_mechanism == "OAUTHBEARER"
        needed, others = (("sasl_mechanism", *token), login[1:]) if bearer else (login, token)
        given = [_option(name) for name in needed if getattr(self, name) is not None]
        foreign = [_option(name) for name in others if getattr(self, name) is not None]
        if foreign:
            raise ValueError(f"{foreign[0]} does not belong to --sasl-mechanism {self.sasl_mechanism}: unset it")
        # Another way to a token, such as an unsecured one for tests, is librdkafka's own matter.
        complete = len(given) == len(needed) or (bearer and any("oauthbearer" in name for name in properties))
        if self.security_protocol.startswith("SASL") and not complete:
            raise ValueError(f"security protocol {self.security_protocol} needs {', '.join(map(_option, needed))}")
        if given and not self.security_protocol.startswith("SASL"):
            raise ValueError(
                f"{given[0]} is set, but security protocol {self.security_protocol} has no login: set "
                f"--security-protocol to SASL_SSL or SASL_PLAINTEXT, or unset {given[0]}"
            )

    def _certificates_can_be_read(self) -> None:
        for name in ("ssl_ca_location", "registry_ca_location"):
            if (location := getattr(self, name)) is not None:
                check_authorities(_option(name), location)
        if self.ssl_certificate_location is not None and self.ssl_key_location is not None:
            password = self.ssl_key_password.get_secret_value() if self.ssl_key_password else ""
            check_pair("--ssl-certificate-location", self.ssl_certificate_location, self.ssl_key_location, password)

    def client_config(self, client_id: str) -> dict[str, Any]:
        """Parameters that every librdkafka client of this cluster takes."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "client.id": client_id,
            **RECONNECT,
        }
        if self.sasl_mechanism and self.sasl_username and self.sasl_password:
            config |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": self.sasl_password.get_secret_value(),
            }
        elif self.sasl_mechanism == "OAUTHBEARER":
            config |= self._token_config()
        if self.security_protocol.endswith("SSL"):
            config |= self._tls_config(self.ssl_ca_location)
        return config | self.properties()

    def properties(self) -> dict[str, str]:
        """The properties of librdkafka that the user passes on to every client."""
        return parse_properties(self.client_properties)

    def _token_config(self) -> dict[str, str]:
        config = {"sasl.mechanism": "OAUTHBEARER"}
        if self.sasl_oauthbearer_token_endpoint_url is None or self.sasl_oauthbearer_client_secret is None:
            return config
        scope = self.sasl_oauthbearer_scope
        return config | {
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": self.sasl_oauthbearer_token_endpoint_url,
            "sasl.oauthbearer.client.id": self.sasl_oauthbearer_client_id or "",
            "sasl.oauthbearer.client.secret": self.sasl_oauthbearer_client_secret.get_secret_value(),
            **({"sasl.oauthbearer.scope": scope} if scope else {}),
        }

    def _tls_config(self, authorities: Path | None) -> dict[str, str]:
        files = {
            "ssl.ca.location": authorities,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        config = {name: str(file) for name, file in files.items() if file is not None}
        if self.ssl_key_password is not None:
            config["ssl.key.password"] = self.ssl_key_password.get_secret_value()
        return config

    def producer_config(self, client_id: str, **overrides: Any) -> dict[str, Any]:  # noqa: ANN401
        """Parameters of a safe producer: idempotent, acknowledged by all in-sync replicas, murmur2.

        `overrides` are dotted names with underscores (`linger_ms=20`); a value of None removes a parameter.
        """
        config = self.client_config(client_id) | {
            "partitioner": PARTITIONER,
            "enable.idempotence": True,
            "acks": "all",
            # With more, a broker's death can write a record twice (decision 9).
            "max.in.flight.requests.per.connection": 1,
        }
        return _with_overrides(config, overrides) | self.properties()

    def consumer_config(self, client_id: str, group: str, **overrides: Any) -> dict[str, Any]:  # noqa: ANN401
        """Parameters of a group member that commits by itself and starts at the oldest record."""
        config = self.client_config(client_id) | {
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "topic.metadata.refresh.interval.ms": METADATA_MS,
        }
        return _with_overrides(config, overrides) | self.properties()

    @property
    def registry_uses_tls(self) -> bool:
        """Whether one of the registry's addresses has the scheme https."""
        return any(address.strip().lower().startswith("https://") for address in self.registry_url.split(","))

    def registry_config(self) -> dict[str, Any]:
        """Parameters of Confluent's SchemaRegistryClient."""
        config: dict[str, Any] = {"url": self.registry_url}
        if self.registry_user and self.registry_password:
            password = self.registry_password.get_secret_value()
            config["basic.auth.user.info"] = f"{self.registry_user}:{password}"
        if self.registry_uses_tls:
            config |= self._tls_config(self.registry_ca_location or self.ssl_ca_location)
        return config


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _with_overrides(config: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    merged = config | {name.replace("_", "."): value for name, value in overrides.items()}
    return {name: value for name, value in merged.items() if value is not None}


class ServiceSettings(KafkaSettings):
    """What every service has besides: logs, and a port for health and metrics."""

    model_config = SettingsConfigDict(
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
        cli_exit_on_error=False,
    )

    EXAMPLES: ClassVar[tuple[tuple[str, str], ...]] = ()
    """For `--help`: arguments, and what a call with them does."""

    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="console lines or JSON lines; auto is console"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least important level that is written"
    )
    http_host: str = Field(default="127.0.0.1", description="address of /livez, /readyz and /metrics")
    http_port: int = Field(
        default=0, ge=0, le=65535, description="port of /livez, /readyz and /metrics; 0 takes a free one"
    )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the service's own variables first, then those that all services share. An empty one is not set."""
        own = EnvSettingsSource(settings_cls, env_ignore_empty=True)
        return init_settings, own, _SharedVariables(settings_cls, env_prefix=PREFIX, env_ignore_empty=True)


SHARED = frozenset(
    {
        *ServiceSettings.model_fields,
        "state_dir",
        *("strings_topic", "news_topic", "deltas_topic", "counts_topic", "labels_topic", "joined_topic"),
    }
)
"""Settings that `NEWSROOM_X` sets for every service. The state folder is one: each replica locks its own part of it.
The topics are others: what one service writes, the next one reads, and `provision` creates them all."""


class _SharedVariables(EnvSettingsSource):
    """`NEWSROOM_X` for what all services share, and for nothing else."""

    @override
    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if name in SHARED}


def variable_of(cls: type[ServiceSettings], name: str) -> str:
    """The environment variable of a setting."""
    prefix = PREFIX if name in SHARED else cls.model_config["env_prefix"]
    return f"{prefix}{name.upper()}"


def unknown_variables(cls: type[ServiceSettings], names: Iterable[str]) -> list[str]:
    """A sentence about each `NEWSROOM_…` variable among `names` that no service and no part of the stack reads."""
    own = cls.model_config["env_prefix"]
    known = {PREFIX + name.upper() for name in SHARED} | {own + name.upper() for name in cls.model_fields}
    others = tuple(prefix for prefix in SERVICE_PREFIXES if prefix != own)
    strangers = {name for name in names if name.startswith(PREFIX) and not name.startswith(others)}
    return [
        f"{name} is not a setting and is ignored{_advice(cls, name)}"
        for name in sorted(strangers - known - STACK_VARIABLES - {CRASH_VARIABLE})
    ]


def _advice(cls: type[ServiceSettings], name: str) -> str:
    field = name.removeprefix(PREFIX).lower()
    return f": write {variable_of(cls, field)}" if field in cls.model_fields else ""


def load_settings(cls: type[SettingsT], program: str, argv: list[str]) -> SettingsT:
    """Read the settings of a service from the environment and `argv`.

    Raises:
        SettingsError: a value is missing or wrong; the message names each setting and its variable.
    """
    try:
        return cls(_cli_parse_args=argv, _cli_prog_name=program)
    except ValidationError as error:
        problems = "; ".join(_describe(cls, problem) for problem in error.errors())
        raise SettingsError(f"{program}: {problems}. See '{program} --help'") from error
    except PydanticSettingsError as error:
        problem = str(error).removeprefix("error parsing CLI: ")
        raise SettingsError(f"{program}: {problem}. See '{program} --help'") from error


def _describe(cls: type[ServiceSettings], problem: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    name = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if not name:
        return str(message)
    setting = name.split(".")[0]
    kind = cls.model_fields[setting].annotation
    value = "" if SecretStr in (kind, *get_args(kind)) else f", got {problem['input']!r}"
    return f"{_option(name)} (or {variable_of(cls, setting)}): {message}{value}"
