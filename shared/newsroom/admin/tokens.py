"""Tokens for kafka-python's logins. librdkafka gets them by itself, in the same way: OIDC client credentials."""

from __future__ import annotations

import base64
import json
import threading
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from kafka.errors import SaslAuthenticationFailedError
from kafka.net.sasl.oauth import AbstractTokenProvider
from typing_extensions import override

from newsroom.addresses import masked
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from newsroom.settings import KafkaSettings

ANSWER_SECONDS = 3.0
"""How long the endpoint may take: kafka-python does nothing else meanwhile."""

USED_SHARE = 0.8
"""The share of its life after which a token is replaced, as librdkafka does."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]  # kafka-python is untyped
    """Asks the endpoint of the settings, and keeps a token for most of its life."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings
        self._lock = threading.Lock()
        self._token = ""
        self._old = Deadline(0)

    @override
    def token(self) -> str:
        """A token that is valid now.

        Raises:
            SaslAuthenticationFailedError: the endpoint does not give one.
        """
        with self._lock:
            if self._old.passed():
                self._token, seconds = self._ask()
                self._old = Deadline(seconds * USED_SHARE)
            return self._token

    def _ask(self) -> tuple[str, float]:
        url = self._settings.sasl_oauthbearer_token_endpoint_url or ""
        try:
            with urlopen(self._request(url), timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - the user's own setting
                grant = json.load(answer)
            return str(grant["access_token"]), float(grant.get("expires_in", 0))
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise SaslAuthenticationFailedError(
                f"no token from {masked(url)} ({error}): check --sasl-oauthbearer-*"
            ) from error

    def _request(self, url: str) -> Request:
        secret = self._settings.sasl_oauthbearer_client_secret
        user = (self._settings.sasl_oauthbearer_client_id or "", secret.get_secret_value() if secret else "")
        login = base64.b64encode(":".join(user).encode()).decode()
        scope = self._settings.sasl_oauthbearer_scope
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
        return Request(url, urlencode(form).encode(), headers)  # noqa: S310 - as above
