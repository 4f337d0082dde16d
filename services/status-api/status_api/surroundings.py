"""What stands beside the brokers: the schema registry, Kafka Connect, and the services with their replicas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")


@dataclass(frozen=True)
class Subject:
    """A subject of the registry, and its latest version."""

    name: str
    versions: tuple[int, ...]
    schema_id: int
    kind: str
    """AVRO, JSON or PROTOBUF."""
    record: str | None
    """The full name of the record, if it is an Avro record."""


@dataclass(frozen=True)
class Task:
    """A task of a connector."""

    id: int
    state: str
    worker: str
    error: str | None


@dataclass(frozen=True)
class Connector:
    """A connector of Kafka Connect."""

    name: str
    kind: str
    """source or sink."""
    state: str
    worker: str
    error: str | None
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Service:
    """A replica of a service, and what it waits for if it is not ready."""

    name: str
    address: str
    ready: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Told(Generic[T]):
    """What was told last, when, and why it is not told now."""

    items: tuple[T, ...] = ()
    known_at: datetime | None = None
    reason: str | None = None
    is_set: bool = True
    """Whether a setting says where to ask."""


def unset(variable: str) -> Told[T]:
    """Return what is told if a setting is empty."""
    return Told(reason=f"no address is set: {variable}", is_set=False)


REGISTRY_VARIABLE = "NEWSROOM_REGISTRY_URL"
CONNECT_VARIABLE = "NEWSROOM_STATUS_CONNECT_URL"
SERVICES_VARIABLE = "NEWSROOM_STATUS_SERVICES"


@dataclass(frozen=True)
class Surroundings:
    """All that was told last."""

    schemas: Told[Subject] = field(default_factory=lambda: unset(REGISTRY_VARIABLE))
    connectors: Told[Connector] = field(default_factory=lambda: unset(CONNECT_VARIABLE))
    services: Told[Service] = field(default_factory=lambda: unset(SERVICES_VARIABLE))


@dataclass(frozen=True)
class ServiceAddress:
    """Where the replicas of a service answer: on each address of the host, and on each of the ports."""

    name: str
    host: str
    ports: range


def parse_services(text: str) -> tuple[ServiceAddress, ...]:
    """Parse NAME=http://HOST:PORT or NAME=http://HOST:FIRST-LAST, with commas between several.

    Raises:
        ValueError: the text is not of that form.
    """
    return tuple(_service(part.strip()) for part in text.split(",") if part.strip())


def _service(text: str) -> ServiceAddress:
    name, _, url = text.partition("=")
    rest, _, ports = url.rpartition(":")
    first, _, last = ports.partition("-")
    try:
        span = range(int(first), int(last or first) + 1)
        host = urlsplit(rest).hostname
        urls = [urlsplit(f"{rest}:{port}").port for port in (span[0], span[-1])]
    except (ValueError, IndexError):
        host, urls = None, [None]
    if not (name and host and all(urls) and rest.startswith("http://") and "/" not in rest.removeprefix("http://")):
        raise ValueError(f"{text!r} is not NAME=http://HOST:PORT or NAME=http://HOST:FIRST-LAST")
    return ServiceAddress(name, host, span)


def parse_links(text: str) -> tuple[tuple[str, str], ...]:
    """Parse NAME=URL, with commas between several, into names and addresses.

    Raises:
        ValueError: a part is not NAME=URL, or the URL is not http://HOST[:PORT][/PATH].
    """
    links = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, url = part.partition("=")
        if not (name and url):
            raise ValueError(f"{part!r} is not NAME=URL")
        links.append((name, check_url(url)))
    return tuple(links)


def check_url(text: str) -> str:
    """Return the address of an HTTP server without its last slash; an empty text stays empty.

    Raises:
        ValueError: it is not http://HOST[:PORT][/PATH].
    """
    if not text:
        return text
    try:
        url = urlsplit(text)
        good = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("it is not http://HOST[:PORT][/PATH]")
    return text.rstrip("/")
