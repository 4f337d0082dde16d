"""One request to the schema registry, and what its outcome means: an answer, a wait, or a cause that must be mended.

Confluent's client neither hands on `Retry-After` and redirects, nor says which of several addresses answered. It asks
the next address only after an outage; a registry that lags behind the others says that it does not have a schema.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import httpx
from confluent_kafka.schema_registry._sync.schema_registry_client import _RestClient
from confluent_kafka.schema_registry.error import SchemaRegistryError
from typing_extensions import override

from newsroom.background import in_background
from newsroom.errors import LastingFailure, NewsroomError, RegistryUnavailable
from newsroom.proxies import proxy_of, without_login
from newsroom.retry_after import retry_seconds
from newsroom.waiting import Deadline, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from newsroom.waiting import StopFlag

FIRST_CALL_SECONDS = 3.0
"""How long the first call of an address may take; a registry answers in milliseconds."""

LONGEST_CALL_SECONDS = 12.0
"""A call may take twice as long as one that was given up, up to this: a slow registry is reached at last."""

SLICE_SECONDS = 0.1
"""How often a call looks at the stop flag."""

NAMELESS_SECONDS = 8.0
"""A container's name resolves only while it runs, so a name is looked up again for this long."""

HTTP_NOT_FOUND = 404
NOT_FOUND_CODES = range(40400, 40500)
"""The API's own codes for what a registry does not have: subjects (40401), versions (40402) and schema ids (40403)."""

TOO_EARLY = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY, httpx.codes.TOO_MANY_REQUESTS})
NOT_ALLOWED = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.PROXY_AUTHENTICATION_REQUIRED})
JSON_TYPE = "application/vnd.schemaregistry.v1+json"
LONGEST_REASON = 200


class Exchange(_RestClient):  # type: ignore[misc]
    """Sends the requests of Confluent's client to each address of the registry in turn, until one has an answer."""

    def __init__(self, config: Mapping[str, Any], stop: StopFlag, tick: Callable[[], None]) -> None:
        super().__init__(dict(config))
        self._stop = stop
        self._tick = tick
        self._limits: dict[str, float] = defaultdict(lambda: FIRST_CALL_SECONDS)
        self._nameless: dict[str, Deadline] = {}

    @override
    def send_request(
        self, url: str, method: str, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None
    ) -> Any:
        """Return the JSON of the first address that has an answer.

        Raises:
            SchemaRegistryError: the registry itself refuses the request, or does not have what was asked for.
            RegistryUnavailable: the same request may succeed later.
            LastingFailure: somebody must change an address, a login, a right or a certificate first.
            Stopped: a signal arrived.
        """
        failures: list[Exception] = []
        for address in self.base_urls:
            try:
                return self._answer(address, url, method, body, query)
            except SchemaRegistryError as error:
                if not is_not_found(error):
                    raise
                failures.append(error)
            except NewsroomError as error:
                failures.append(error)
        # An answer before an outage, and an outage before what must be mended: another address may be right.
        order = (SchemaRegistryError, RegistryUnavailable, LastingFailure)
        raise min(failures, key=lambda error: [isinstance(error, kind) for kind in order].index(True))

    def _answer(
        self, address: str, url: str, method: str, body: dict[str, Any] | None, query: dict[str, Any] | None
    ) -> object:
        seconds = self._limits[address]
        headers = {"Accept": f"{JSON_TYPE}, application/vnd.schemaregistry+json, application/json"}
        if body is not None:
            headers |= {"Content-Type": JSON_TYPE, "Confluent-Accept-Unknown-Properties": "true"}
        try:
            response = self._bounded(
                lambda: self.session.request(
                    method,
                    f"{address}/{url}",
                    headers=headers,
                    content=None if body is None else json.dumps(body),
                    params=query,
                    timeout=seconds,
                ),
                seconds,
            )
        except (TimeoutError, httpx.TimeoutException) as error:
            self._limits[address] = min(2 * seconds, LONGEST_CALL_SECONDS)
            raise RegistryUnavailable(
                f"{named(address)} does not answer within {seconds:g} s: is it running?", address=without_login(address)
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._no_answer(address, error) from error
        self._nameless.pop(address, None)
        return self._outcome(address, url.partition("?")[0], response)

    def _bounded(self, call: Callable[[], httpx.Response], seconds: float) -> httpx.Response:
        """Wait for a response. The timeout of HTTP clients is one between two bytes."""
        future, limit = in_background(call), Deadline(seconds)
        while not future.done():
            if self._stop:
                raise Stopped("an answer of the schema registry")
            if limit.passed():
                raise TimeoutError
            self._tick()
            try:
                return future.result(min(SLICE_SECONDS, limit.left()))
            except TimeoutError:
                continue
        return future.result()

    def _no_answer(self, address: str, error: Exception) -> NewsroomError:
        place, reason = named(address), without_login(str(error)) or type(error).__name__
        refused = _cause(error, ssl.SSLError)
        if isinstance(refused, ssl.SSLError) and not isinstance(refused, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return self._failure(
                f"no TLS connection to {place} ({_plain(refused)}): check --registry-ca-location (or "
                "--ssl-ca-location), --ssl-certificate-location, the name in the registry's certificate, and that the "
                "port speaks TLS",
                address,
                "TLS handshake",
            )
        if isinstance(error, httpx.ProxyError) and reason.startswith("4"):
            return self._failure(
                f"the proxy refuses the way to {place} ({reason}): add the registry's host to no_proxy, or correct "
                "the proxy",
                address,
                "connect",
            )
        if isinstance(error, httpx.RemoteProtocolError) and "illegal" in reason:
            return self._failure(
                f"{place} does not speak HTTP ({reason[:LONGEST_REASON]}): write https:// in --registry-url, or "
                "correct its port",
                address,
                "connect",
            )
        nameless = _cause(error, socket.gaierror)
        if isinstance(nameless, socket.gaierror) and nameless.errno == socket.EAI_NONAME:
            if self._nameless.setdefault(address, Deadline(NAMELESS_SECONDS)).passed():
                return self._failure(
                    f"the name of {place} cannot be resolved on this machine: correct --registry-url",
                    address,
                    "resolve",
                )
        else:
            self._nameless.pop(address, None)
        closed = isinstance(error, httpx.RemoteProtocolError) and address.lower().startswith("http:")
        question = "is it running, and does it speak http, not https?" if closed else "is it running?"
        return RegistryUnavailable(f"{place} does not answer ({reason}): {question}", address=without_login(address))

    def _outcome(self, address: str, path: str, response: httpx.Response) -> object:
        status, place = response.status_code, named(address)
        code, reason = _error_of(response)
        if response.is_success:
            return self._content(address, response)
        if status in TOO_EARLY or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise RegistryUnavailable(
                f"{place} answers {status} ({reason}): see the registry's own log",
                retry_after=retry_seconds(response.headers.get("Retry-After")),
                address=without_login(address),
            )
        if response.is_redirect:
            target = without_login(response.headers["Location"]).partition("?")[0]
            raise self._failure(
                f"{place} redirects /{path} to {target} ({status}): write the address that answers itself in "
                "--registry-url",
                address,
                path,
            )
        if status in NOT_ALLOWED:
            who = f"user {self.auth[0]}" if self.auth else "a client without login"
            raise self._failure(
                f"{place} refuses /{path} to {who} ({status} {reason}): check --registry-user, --registry-password "
                "and that user's rights",
                address,
                path,
            )
        if status == HTTP_NOT_FOUND and code not in NOT_FOUND_CODES:
            raise self._failure(
                f"what answers as {place} is not a schema registry (404 {reason} for /{path}): correct the path in "
                "--registry-url",
                address,
                path,
                status=status,
            )
        raise SchemaRegistryError(status, code, f"{reason} ({place})")

    def _content(self, address: str, response: httpx.Response) -> object:
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("Content-Type", "no content type")
            if "json" in kind:
                raise RegistryUnavailable(
                    f"{named(address)} answers with JSON that cannot be read ({error})", address=without_login(address)
                ) from error
            raise self._failure(
                f"what answers as {named(address)} is not a schema registry (its answer is {kind}): correct "
                "--registry-url",
                address,
                "read",
            ) from error

    def _failure(self, sentence: str, address: str, operation: str, **fields: object) -> LastingFailure:
        proxy = proxy_of(address)
        return LastingFailure(
            sentence,
            address=without_login(address),
            principal=f"User:{self.auth[0]}" if self.auth else "without login",
            operation=operation,
            resource="schema registry",
            **fields,
            **({"proxy": proxy} if proxy else {}),
        )


def named(address: str) -> str:
    """The registry at an address as messages name it: without user and password, with the proxy that it is asked by."""
    proxy = proxy_of(address)
    way = f" (through the proxy {proxy} of the environment)" if proxy else ""
    return f"the schema registry at {without_login(address)}{way}"


def is_not_found(error: SchemaRegistryError) -> bool:
    """Whether the registry itself says that it does not have the requested item.

    A wrong address, or a proxy before the registry, also answers 404, but without a code of the API.
    """
    return error.http_status_code == HTTP_NOT_FOUND and error.error_code in NOT_FOUND_CODES


def _error_of(response: httpx.Response) -> tuple[int, str]:
    """The API's code (-1 if there is none) and the reason in the answer to a refused request."""
    try:
        data = response.json()
        code, reason = data.get("error_code", -1), str(data.get("message") or response.reason_phrase)
    except (ValueError, AttributeError):
        code, reason = -1, response.reason_phrase
    return code if isinstance(code, int) else -1, " ".join(reason.split())[:LONGEST_REASON]


def _cause(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first error of this kind among an error and its causes."""
    link: BaseException | None = error
    while link is not None and not isinstance(link, kind):
        link = link.__cause__ or link.__context__
    return link


def _plain(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or (error.reason or str(error)).replace("_", " ").lower()
