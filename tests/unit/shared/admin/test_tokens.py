"""Tokens for kafka-python, from an endpoint on the loopback."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.errors import SaslAuthenticationFailedError
from pydantic import SecretStr

from newsroom.admin.inquirer import client_config
from newsroom.admin.tokens import Tokens
from newsroom.settings import KafkaSettings
from support.web import Request, Web

SECRET = "s3:cr/et="


class Endpoint:
    """Answers with a new token each time, which lives so many seconds."""

    def __init__(self) -> None:
        self.life: object = 600
        self.bodies: list[bytes] = []

    def answer(self, request: Request) -> None:
        """Reply to a login with the right secret."""
        login = base64.b64decode((request.headers["Authorization"] or "").removeprefix("Basic ")).decode()
        if login != f"me:{SECRET}":
            request.reply(401, b'{"error": "invalid_client"}')
            return
        self.bodies.append(request.body)
        token = {"access_token": f"token-{len(self.bodies)}", "expires_in": self.life}
        request.reply(200, json.dumps(token).encode())


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def web(endpoint: Endpoint) -> Iterator[Web]:
    with Web(endpoint.answer) as web:
        yield web


def settings(url: str, secret: str = SECRET) -> KafkaSettings:
    return KafkaSettings(
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        sasl_oauthbearer_token_endpoint_url=url,
        sasl_oauthbearer_client_id="me",
        sasl_oauthbearer_client_secret=SecretStr(secret),
        sasl_oauthbearer_scope="kafka",
    )


def test_a_token_is_kept_while_it_lives(web: Web, endpoint: Endpoint) -> None:
    tokens = Tokens(settings(f"{web.url}/token"))
    assert [tokens.token() for _ in range(3)] == ["token-1"] * 3
    endpoint.life = 0
    tokens = Tokens(settings(f"{web.url}/token"))
    assert [tokens.token() for _ in range(2)] == ["token-2", "token-3"], "each is old at once"
    assert set(web.paths) == {"/token"}
    assert set(endpoint.bodies) == {b"grant_type=client_credentials&scope=kafka"}


@pytest.mark.parametrize(
    ("secret", "life", "why"), [("wrong", 600, "HTTP Error 401: Unauthorized"), (SECRET, "soon", "could not convert")]
)
def test_an_endpoint_without_a_token_is_named(
    web: Web, endpoint: Endpoint, secret: str, life: object, why: str
) -> None:
    endpoint.life = life
    with pytest.raises(SaslAuthenticationFailedError, match=rf"no token from {web.url} \({why}.*check --sasl-oauth"):
        Tokens(settings(web.url, secret)).token()


def test_the_client_of_kafka_python_takes_the_tokens(web: Web) -> None:
    config = client_config(settings(web.url))
    assert config.keys() <= KafkaAdminClient.DEFAULT_CONFIG.keys()
    assert config["sasl_mechanism"] == "OAUTHBEARER"
    assert config["sasl_oauth_token_provider"].token() == "token-1"
