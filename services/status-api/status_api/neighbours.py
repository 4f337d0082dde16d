"""Asks the registry, Kafka Connect and the services how they are, slowly and in threads of their own."""

from __future__ import annotations

import base64
import json
import socket
import ssl
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import HTTPSHandler, Request, build_opener

from newsroom.logs import get_logger
from newsroom.proxies import ask_no_proxy_for_loopback, without_login
from status_api.surroundings import Connector, Service, Subject, Surroundings, Task, Told, parse_services

if TYPE_CHECKING:
    from collections.abc import Callable
    from urllib.request import OpenerDirector

    from newsroom.settings import KafkaSettings
    from status_api.settings import StatusSettings
    from status_api.surroundings import ServiceAddress

T = TypeVar("T")
log = get_logger(__name__)

POLL_SECONDS = 5.0
ANSWER_SECONDS = 2.0
"""How long a server may take for one step of its answer."""
MOST_BYTES = 4_000_000
MOST_SUBJECTS = 200
"""Of more subjects only the first are looked at: each costs two requests."""
MOST_TEXT = 300
SERVER_ERROR = 500


class Refused(OSError):
    """The answer says that the request failed."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"it answers {status}")
        self.status = status
        self.body = body


class Neighbour(Generic[T]):
    """Remembers what one neighbour told last. One thread takes the turns, any thread reads `told`."""

    def __init__(self, what: str, read: Callable[[], tuple[T, ...]]) -> None:
        self._what = what
        self._read = read
        self.told: Told[T] = Told(reason="not asked yet")

    def turn(self) -> None:
        """Ask once. What was told before stays if nothing is told now."""
        try:
            items = self._read()
        except (OSError, HTTPException) as error:
            reason = without_login(f"no answer: {getattr(error, 'reason', None) or error}")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reason = f"the answer is not that of {self._what}: {error}"
        except Exception as error:
            # If this ended the thread, nothing would be told any more.
            reason = f"{type(error).__name__} in the status API; see its log"
            log.exception("a neighbour cannot be asked", neighbour=self._what)
        else:
            self.told = Told(items, datetime.now(UTC))
            return
        self.told = Told(self.told.items, self.told.known_at, reason[:MOST_TEXT])


class Neighbours:
    """Those whose addresses are set."""

    def __init__(self, settings: StatusSettings) -> None:
        ask_no_proxy_for_loopback(f"{settings.registry_url} {settings.connect_url} {settings.services}")
        self._by_name: dict[str, Neighbour[Any]] = {}
        if settings.registry_url:
            ask = Registry(settings).subjects
            self._by_name["schemas"] = Neighbour("a schema registry", ask)
        if settings.connect_url:
            self._by_name["connectors"] = Neighbour("Kafka Connect", partial(connectors, settings.connect_url))
        if settings.services:
            addresses = parse_services(settings.services)
            self._by_name["services"] = Neighbour("a service", partial(services, addresses))

    @property
    def all(self) -> list[Neighbour[Any]]:
        """Each neighbour; a thread of its own asks it, so that none waits for another."""
        return list(self._by_name.values())

    def told(self) -> Surroundings:
        """Return what all have told last."""
        return Surroundings(**{name: neighbour.told for name, neighbour in self._by_name.items()})


def fetch(url: str, opener: OpenerDirector, headers: dict[str, str] | None = None) -> bytes:
    """Return the body that a URL answers with.

    Raises:
        Refused: the answer says that the request failed.
        OSError: no answer.
        HTTPException: the answer is not HTTP.
        ValueError: the answer is longer than `MOST_BYTES`.
    """
    request = Request(url, headers={"Accept": "application/json, */*;q=0.1", **(headers or {})})  # noqa: S310 - checked
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as response:
            body: bytes = response.read(MOST_BYTES + 1)
    except HTTPError as error:
        with error:
            raise Refused(error.code, error.read(MOST_BYTES)) from error
    if len(body) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return body


class Registry:
    """Asks a schema registry with Confluent's API; of several addresses the first that answers."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._addresses = [address.strip().rstrip("/") for address in settings.registry_url.split(",")]
        self._opener = build_opener(HTTPSHandler(context=_context(settings)))

    def subjects(self) -> tuple[Subject, ...]:
        """Return the subjects with their versions."""
        return tuple(self._subject(name) for name in sorted(self.get("/subjects"))[:MOST_SUBJECTS])

    def _subject(self, name: str) -> Subject:
        versions = self.get(f"/subjects/{quote(name, safe='')}/versions")
        latest = self.get(f"/subjects/{quote(name, safe='')}/versions/latest")
        kind = str(latest.get("schemaType") or "AVRO")
        record = _record_name(latest["schema"]) if kind == "AVRO" else None
        return Subject(name, tuple(int(version) for version in versions), int(latest["id"]), kind, record)

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON values
        """Return the JSON that the registry answers with.

        Raises:
            OSError: no address answers, or the answer says that the request failed.
            HTTPException: the answer is not HTTP.
            ValueError: the answer is not JSON.
        """
        for address in self._addresses[:-1]:
            try:
                return self._get_of(address, path)
            except Refused as error:
                if error.status < SERVER_ERROR:
                    raise
            except (OSError, HTTPException):
                continue
        return self._get_of(self._addresses[-1], path)

    def _get_of(self, address: str, path: str) -> Any:  # noqa: ANN401
        url = urlsplit(address)
        host = url.netloc.rpartition("@")[2]
        user, password = self._settings.registry_user or url.username, self._settings.registry_password
        secret = password.get_secret_value() if password else url.password
        login = base64.b64encode(f"{user}:{secret}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"} if user and secret else {}
        return json.loads(fetch(urlunsplit((url.scheme, host, url.path + path, "", "")), self._opener, headers))


def _context(settings: KafkaSettings) -> ssl.SSLContext | None:
    if not settings.registry_uses_tls:
        return None
    authorities = settings.registry_ca_location or settings.ssl_ca_location
    context = ssl.create_default_context(cafile=authorities)
    if settings.ssl_certificate_location and settings.ssl_key_location:
        password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else None
        context.load_cert_chain(settings.ssl_certificate_location, settings.ssl_key_location, password)
    return context


def _record_name(schema: str) -> str | None:
    parsed = json.loads(schema)
    if not isinstance(parsed, dict) or "name" not in parsed:
        return None
    name, space = str(parsed["name"]), parsed.get("namespace")
    return name if "." in name or not space else f"{space}.{name}"


def connectors(url: str) -> tuple[Connector, ...]:
    """Return the connectors of a Connect cluster, one of whose workers answers at the URL."""
    statuses = json.loads(fetch(f"{url}/connectors?expand=status", build_opener()))
    return tuple(_connector(name, entry["status"]) for name, entry in sorted(statuses.items()))


def _connector(name: str, status: dict[str, Any]) -> Connector:
    own = status["connector"]
    tasks = tuple(
        Task(int(task["id"]), task["state"], task["worker_id"], _cause(task.get("trace"))) for task in status["tasks"]
    )
    return Connector(name, status.get("type", ""), own["state"], own["worker_id"], _cause(own.get("trace")), tasks)


def _cause(trace: str | None) -> str | None:
    """The first line of a Java trace, and the last cause below it."""
    lines = (trace or "").splitlines()
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return " ".join(line.strip() for line in (*lines[:1], *causes[-1:]))[:MOST_TEXT] or None


def services(addresses: tuple[ServiceAddress, ...]) -> tuple[Service, ...]:
    """Return the replicas of the services, each with what it waits for."""
    return tuple(replica for address in addresses for replica in _replicas(address))


def _replicas(address: ServiceAddress) -> list[Service]:
    first = address.ports[0]
    try:
        # A container's name leads to all of its replicas.
        hosts = {entry[4][0] for entry in socket.getaddrinfo(address.host, first, socket.AF_INET, socket.SOCK_STREAM)}
    except OSError as error:
        return [Service(address.name, f"{address.host}:{first}", ready=False, missing=(f"no address: {error}",))]
    places = [(str(host), port) for host in sorted(hosts) for port in address.ports]
    replicas = (_replica(address.name, host, port, needed=port == first) for host, port in places)
    return [replica for replica in replicas if replica is not None]


def _replica(name: str, host: str, port: int, *, needed: bool) -> Service | None:
    """Return a replica; None if nothing listens there and nothing must."""
    place = f"{host}:{port}"
    try:
        fetch(f"http://{place}/readyz", build_opener())
    except Refused as error:
        return Service(name, place, ready=False, missing=_missing(error))
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, ConnectionRefusedError) and not needed:
            return None
        return Service(name, place, ready=False, missing=(f"no answer: {cause}",))
    return Service(name, place, ready=True, missing=())


def _missing(error: Refused) -> tuple[str, ...]:
    """What our services say that they wait for; of another one its status."""
    try:
        body = json.loads(error.body)
        texts = body.get("missing", {}).values() or [body["error"]]
        return tuple(str(text)[:MOST_TEXT] for text in texts)
    except (ValueError, LookupError, TypeError, AttributeError):
        return (str(error),)
