"""The schema registry: a client with a timeout, and errors that say who is to blame."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx import InvalidURL

from newsroom.errors import LastingFailure, NewsroomError, RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.proxies import without_login
from newsroom.schemas.addresses import check_addresses
from newsroom.schemas.exchange import Exchange, is_not_found, named
from newsroom.waiting import Deadline, StopFlag, Stopped, Wait, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.settings import KafkaSettings

T = TypeVar("T")

AVRO = "AVRO"
"""The type of an Avro schema; registries also keep schemas of other types."""

HTTP_BAD_REQUEST = 400
HTTP_CONFLICT = 409
HTTP_UNPROCESSABLE = 422


def registry_client(
    settings: KafkaSettings, stop: StopFlag | None = None, tick: Callable[[], None] = do_nothing
) -> SchemaRegistryClient:
    """A registry client; `mock://NAME` makes an in-memory one for tests.

    A signal ends its calls with `Stopped`; `tick` is called while one waits.

    Raises:
        SettingsError: the address is not a URL of a registry, or the client refuses its settings.
    """
    check_addresses(settings.registry_url)
    config = settings.registry_config()
    try:
        client = SchemaRegistryClient.new_client(config)
        if not settings.registry_url.startswith("mock"):
            # The client's only part that sends requests.
            client._rest_client = Exchange(config, StopFlag() if stop is None else stop, tick)  # noqa: SLF001
    except (ValueError, TypeError, OSError, ImportError, InvalidURL) as error:
        raise SettingsError(
            f"the client of {address_of(settings.registry_url)} refuses its settings ({without_login(str(error))}): "
            "check the registry's address, user and password, the CA file, and the proxy variables of the environment"
        ) from error
    return client


def address_of(registry_url: str) -> str:
    """The registry as messages name it, with each of its addresses."""
    return ", or ".join(named(address.strip()) for address in registry_url.split(","))


def ask_registry(registry: SchemaRegistryClient, call: Callable[[], T]) -> T:
    """Make one call of the registry's client and return its result.

    Raises:
        SchemaRegistryError: the registry refuses the request, or does not have what was asked for.
        RegistryUnavailable: the registry does not answer, or cannot answer now.
        LastingFailure: the address, the login, a right or a certificate is wrong.
        Stopped: a signal arrived.
    """
    try:
        return call()
    except (SchemaRegistryError, NewsroomError, Stopped):
        raise
    except Exception as error:  # the client may raise any exception for JSON that is not the registry's
        raise not_a_registry(registry, f"{type(error).__name__}: {error}") from error


def not_a_registry(registry: SchemaRegistryClient, reason: str) -> LastingFailure:
    """The failure of an answer that is JSON, but not a registry's."""
    url = registry.config()["url"]
    return LastingFailure(
        f"what answers as {address_of(url)} is not a schema registry ({reason}): correct --registry-url",
        address=without_login(url),
    )


def check_registry(registry: SchemaRegistryClient) -> list[str]:
    """Check that a registry answers at the address, before records depend on it, and return its subjects.

    Raises:
        RegistryUnavailable: no registry answers, or it cannot list its subjects now.
        LastingFailure: the address, the login, a right or a certificate is wrong.
    """
    try:
        subjects = ask_registry(registry, registry.get_subjects)
    except SchemaRegistryError as error:
        raise RegistryUnavailable(f"the subjects are not listed: {error.error_message}") from error
    if not isinstance(subjects, list):
        raise not_a_registry(registry, "no list of subjects")
    return subjects


class Patience:
    """Repeats a call that raises `RegistryUnavailable`, until `seconds` have passed; a signal ends the wait."""

    def __init__(self, seconds: float, stop: StopFlag, tick: Callable[[], None] = do_nothing) -> None:
        self._seconds = seconds
        self._stop = stop
        self._tick = tick

    def at_most(self, seconds: float | None) -> Patience:
        """The same patience, but for no more than `seconds`."""
        return self if seconds is None else Patience(min(seconds, self._seconds), self._stop, self._tick)

    def ask(self, call: Callable[[], T], purpose: str) -> T:
        """Return the call's result; an error names its `purpose`.

        Raises:
            RegistryUnavailable: the call had no result before the deadline.
            Stopped: a signal arrived.
        """
        wait = Wait(Deadline(self._seconds), self._stop, self._tick)
        late = f"no schema for {purpose} within {self._seconds:g} s"
        return wait.until(call, lambda missing: RegistryUnavailable(f"{late}: {missing}"))


def register(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    """Register a schema under a subject and return its id; an identical schema keeps its id.

    Raises:
        SchemaRefused: the registry answers that the schema is not compatible (409) or not valid.
        RegistryUnavailable: the registry does not answer, or returns another error.
        LastingFailure: the address, the login, a right or a certificate is wrong.
    """
    try:
        return ask_registry(registry, lambda: int(registry.register_schema(subject, Schema(json.dumps(schema), AVRO))))
    except SchemaRegistryError as error:
        if error.http_status_code == HTTP_CONFLICT:
            level = _compatibility_level(registry, subject)
            raise SchemaRefused(
                f"the registry refused the schema for subject {subject} (409): it is not {level} compatible "
                f"with the earlier versions: {error.error_message}"
            ) from error
        if error.http_status_code in {HTTP_BAD_REQUEST, HTTP_UNPROCESSABLE}:
            raise SchemaRefused(f"the registry refused the schema for subject {subject}: {error}") from error
        raise RegistryUnavailable(f"subject {subject} was not registered: {error.error_message}") from error


class RegisteredSchema(NamedTuple):
    """A schema as a registry has it."""

    number: int
    schema: dict[str, Any]


def latest_schema(registry: SchemaRegistryClient, subject: str) -> RegisteredSchema:
    """The latest version of a subject, with its id. The version is read anew at each call, whatever the client keeps.

    Raises:
        SettingsError: the registry does not have the subject, or its latest version is not an Avro record.
        RegistryUnavailable: the registry does not answer, or returns another error.
        LastingFailure: the address, the login, a right or a certificate is wrong.
    """
    registry.clear_latest_caches()
    try:
        version = ask_registry(registry, lambda: registry.get_latest_version(subject))
    except SchemaRegistryError as error:
        where = f"subject {subject} of {address_of(registry.config()['url'])}"
        if is_not_found(error):
            raise SettingsError(
                f"{where} does not exist: register a schema under it, or correct the subject (--subject)"
            ) from error
        raise RegistryUnavailable(f"{where} was not looked up: {error.error_message}") from error
    text, kind = version.schema.schema_str, version.schema.schema_type
    try:
        schema = json.loads(text or "") if kind == AVRO else None
    except ValueError:
        schema = None
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise SettingsError(
            f"the latest version of subject {subject} is not the schema of an Avro record (its type is {kind}): choose "
            "another subject (--subject)"
        )
    return RegisteredSchema(int(version.schema_id), schema)


def _compatibility_level(registry: SchemaRegistryClient, subject: str) -> str:
    for name in (subject, None):
        try:
            return str(ask_registry(registry, partial(registry.get_compatibility, name)))
        except (SchemaRegistryError, RegistryUnavailable, LastingFailure):
            continue
    return "(level unknown)"
