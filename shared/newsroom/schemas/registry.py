"""The schema registry: a client that does not wait for ever, and errors that say who is to blame."""

from __future__ import annotations

import json
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from httpx import URL, HTTPError, InvalidURL

from newsroom.errors import RegistryUnavailable, SchemaRefused, SettingsError
from newsroom.logs import get_logger
from newsroom.waiting import Deadline, Wait, do_nothing

with warnings.catch_warnings(record=True):
    # Recorded, that is, not shown: a library below announces a rename that no reader of our logs can act on.
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.settings import KafkaSettings
    from newsroom.waiting import StopFlag

__all__ = [
    "ADVICE", "AVRO", "Patience", "Schema", "SchemaRegistryClient", "SchemaRegistryError",
    "ask_registry", "check_registry", "is_not_found", "register", "registry_client",
]  # fmt: skip

T = TypeVar("T")

log = get_logger(__name__)

AVRO = "AVRO"
"""The type of a schema that is Avro; registries keep others, too."""

HTTP_BAD_REQUEST = 400
HTTP_NOT_FOUND = 404
HTTP_CONFLICT = 409
HTTP_UNPROCESSABLE = 422
NOT_FOUND_CODES = range(40400, 40500)
"""The API's own codes for what a registry does not have: 40401 a subject, 40402 a version, 40403 a schema id."""

ONE_CALL: dict[str, Any] = {"timeout": 3.0, "max.retries": 0}
"""Seconds for each step of a question to the registry, which answers in milliseconds; asked once, for who asks again
(`Patience`) hears signals. The library's own default is to wait for ever, and to try thrice more within the call."""

ADVICE = "see --registry-url, --registry-user and the registry's own log"
"""What to do when the registry answers with an error."""


def registry_client(settings: KafkaSettings, **overrides: Any) -> SchemaRegistryClient:  # noqa: ANN401
    """A registry client; `mock://NAME` makes an in-memory one for tests. `overrides` are its own parameters.

    Raises:
        SettingsError: the address is none, or the client refuses its settings.
    """
    for address in settings.registry_url.split(","):
        _check_address(address.strip())
    try:
        return SchemaRegistryClient.new_client(ONE_CALL | settings.registry_config() | overrides)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise SettingsError(
            f"the schema registry's client refuses its settings ({error}): see the registry's address, user and "
            "password, the CA file, and the proxy variables of the environment"
        ) from error


def _check_address(address: str) -> None:
    try:
        url = URL(address)
        good = url.scheme == "mock" or (url.scheme in {"http", "https"} and bool(url.host))
    except (InvalidURL, ValueError):
        good = False
    if not good:
        # Without what stands before an @: it may be a password.
        raise SettingsError(
            f"--registry-url (or NEWSROOM_REGISTRY_URL): {address.rpartition('@')[2]!r} is no address of a schema "
            "registry: write http://HOST:PORT/PATH"
        )


def ask_registry(call: Callable[[], T]) -> T:
    """What one call of the registry's client returns.

    Raises:
        SchemaRegistryError: the registry answers with an error.
        RegistryUnavailable: it does not answer, or what answers is no registry.
    """
    try:
        return call()
    except SchemaRegistryError:
        raise
    except (HTTPError, OSError) as error:
        raise RegistryUnavailable(
            f"the schema registry does not answer ({str(error) or type(error).__name__}): is it running?"
        ) from error
    except Exception as error:  # the client raises whatever a page that is no JSON, or another JSON, leads it to
        raise RegistryUnavailable(
            f"what answers is no schema registry ({type(error).__name__}: {error}): correct --registry-url"
        ) from error


def is_not_found(error: SchemaRegistryError) -> bool:
    """Whether the registry itself says that it does not have what was asked for.

    A wrong address, or a proxy before the registry, answers 404 too, but without a code of the API.
    """
    return error.http_status_code == HTTP_NOT_FOUND and error.error_code in NOT_FOUND_CODES


def check_registry(registry: SchemaRegistryClient) -> None:
    """See that a registry answers at the address, before records depend on it.

    Raises:
        RegistryUnavailable: none does.
    """
    try:
        subjects = ask_registry(registry.get_subjects)
    except SchemaRegistryError as error:
        raise RegistryUnavailable(f"the schema registry does not list its subjects ({error}): {ADVICE}") from error
    if not isinstance(subjects, list):
        raise RegistryUnavailable("what answers is no schema registry (no list of subjects): correct --registry-url")


class Patience:
    """Calls again what raises `RegistryUnavailable`, until `seconds` have passed; a signal ends the wait."""

    def __init__(self, seconds: float, stop: StopFlag, tick: Callable[[], None] = do_nothing) -> None:
        self._seconds = seconds
        self._stop = stop
        self._tick = tick

    def ask(self, call: Callable[[], T], purpose: str) -> T:
        """The call's result.

        Raises:
            RegistryUnavailable: it had none before the deadline.
            Stopped: a signal came meanwhile.
        """
        wait = Wait(Deadline(self._seconds), self._stop, self._tick)
        late = f"no schema for {purpose} within {self._seconds:g} s"
        return wait.until(call, lambda missing: RegistryUnavailable(f"{late}: {missing}"))


def register(registry: SchemaRegistryClient, subject: str, schema: Mapping[str, Any]) -> int:
    """Register a schema under a subject and return its id; an identical one keeps its id.

    Raises:
        SchemaRefused: the registry answers 409 (not compatible with earlier versions), or that it is no schema.
        RegistryUnavailable: the registry cannot be reached, or answers otherwise.
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
