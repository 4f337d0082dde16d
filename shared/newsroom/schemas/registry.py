"""The schema registry: a client with a timeout, and errors that say who is to blame."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from httpx import URL, HTTPError, InvalidURL

from newsroom.errors import RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.waiting import Deadline, Wait, do_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.settings import KafkaSettings
    from newsroom.waiting import StopFlag

T = TypeVar("T")

AVRO = "AVRO"
"""The type of an Avro schema; registries also keep schemas of other types."""

HTTP_BAD_REQUEST = 400
HTTP_NOT_FOUND = 404
HTTP_CONFLICT = 409
HTTP_UNPROCESSABLE = 422
NOT_FOUND_CODES = range(40400, 40500)
"""The API's own codes for what a registry does not have: subjects (40401), versions (40402) and schema ids (40403)."""

ONE_CALL: dict[str, Any] = {"timeout": 3.0, "max.retries": 0}
"""Seconds for each step of a request, which a registry answers in milliseconds. The client does not retry: `Patience`
does, because a signal can interrupt it. The library's defaults are no timeout and three retries."""

ADVICE = "see --registry-url, --registry-user and the registry's own log"
"""What to do when the registry returns an error."""


def registry_client(settings: KafkaSettings, **overrides: Any) -> SchemaRegistryClient:  # noqa: ANN401
    """A registry client; `mock://NAME` makes an in-memory one for tests. `overrides` are its own parameters.

    Raises:
        SettingsError: the address is not a URL of a registry, or the client refuses its settings.
    """
    for address in settings.registry_url.split(","):
        _check_address(address.strip())
    try:
        return SchemaRegistryClient.new_client(ONE_CALL | settings.registry_config() | overrides)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise SettingsError(
            f"the schema registry's client refuses its settings ({error}): check the registry's address, user and "
            "password, the CA file, and the proxy variables of the environment"
        ) from error


def _check_address(address: str) -> None:
    try:
        url = URL(address)
        good = url.scheme == "mock" or (url.scheme in {"http", "https"} and bool(url.host))
    except (InvalidURL, ValueError):
        good = False
    if not good:
        # Do not show what stands before an @: it may be a password.
        raise SettingsError(
            f"--registry-url (or NEWSROOM_REGISTRY_URL): {address.rpartition('@')[2]!r} is not an address of a "
            "schema registry: write http://HOST:PORT/PATH"
        )


def ask_registry(call: Callable[[], T]) -> T:
    """Make one call of the registry's client and return its result.

    Raises:
        SchemaRegistryError: the registry returns an error.
        RegistryUnavailable: the registry does not answer, or something else answers at its address.
    """
    try:
        return call()
    except SchemaRegistryError:
        raise
    except (HTTPError, OSError) as error:
        raise RegistryUnavailable(
            f"the schema registry does not answer ({str(error) or type(error).__name__}): is it running?"
        ) from error
    except Exception as error:  # the client may raise any exception for a page that is not JSON, or is other JSON
        raise RegistryUnavailable(
            f"what answers is not a schema registry ({type(error).__name__}: {error}): correct --registry-url"
        ) from error


def is_not_found(error: SchemaRegistryError) -> bool:
    """Whether the registry itself says that it does not have the requested item.

    A wrong address, or a proxy before the registry, also answers 404, but without a code of the API.
    """
    return error.http_status_code == HTTP_NOT_FOUND and error.error_code in NOT_FOUND_CODES


def check_registry(registry: SchemaRegistryClient) -> None:
    """Check that a registry answers at the address, before records depend on it.

    Raises:
        RegistryUnavailable: no registry answers.
    """
    try:
        subjects = ask_registry(registry.get_subjects)
    except SchemaRegistryError as error:
        raise RegistryUnavailable(f"the schema registry does not list its subjects ({error}): {ADVICE}") from error
    if not isinstance(subjects, list):
        raise RegistryUnavailable("what answers is not a schema registry (no list of subjects): correct --registry-url")


class Patience:
    """Repeats a call that raises `RegistryUnavailable`, until `seconds` have passed; a signal ends the wait."""

    def __init__(self, seconds: float, stop: StopFlag, tick: Callable[[], None] = do_nothing) -> None:
        self._seconds = seconds
        self._stop = stop
        self._tick = tick

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
    """
    try:
        return ask_registry(lambda: int(registry.register_schema(subject, Schema(json.dumps(schema), AVRO))))
    except SchemaRegistryError as error:
        if error.http_status_code == HTTP_CONFLICT:
            level = _compatibility_level(registry, subject)
            raise SchemaRefused(
                f"the registry refused the schema for subject {subject} (409): it is not {level} compatible "
                f"with the earlier versions: {error.error_message}"
            ) from error
        if error.http_status_code in {HTTP_BAD_REQUEST, HTTP_UNPROCESSABLE}:
            raise SchemaRefused(f"the registry refused the schema for subject {subject}: {error}") from error
        raise RegistryUnavailable(f"the registry did not register subject {subject} ({error}): {ADVICE}") from error


def _compatibility_level(registry: SchemaRegistryClient, subject: str) -> str:
    for name in (subject, None):
        try:
            return str(ask_registry(partial(registry.get_compatibility, name)))
        except (SchemaRegistryError, RegistryUnavailable):
            continue
    return "(level unknown)"
