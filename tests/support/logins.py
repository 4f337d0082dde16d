"""An endpoint that hands out tokens for `SecuredBroker`'s listener `oauth`, and what points a client at it."""

import base64
import json
import time
from collections.abc import Mapping

from support.secured import SecuredBroker
from support.web import Request, Web

SECRET = "a:secret/with=signs"
TOKEN_SECONDS = 600


def _part(values: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def hand_out(request: Request) -> None:
    """Answer as a token endpoint: a token without a signature, for the client that logs in."""
    login = base64.b64decode((request.headers["Authorization"] or "").removeprefix("Basic ")).decode()
    if login != f"wordcount:{SECRET}":
        request.reply(401, b'{"error": "invalid_client"}')
        return
    now = int(time.time())
    claims = {"sub": "wordcount", "iat": now, "exp": now + TOKEN_SECONDS}
    token = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
    answer = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
    request.reply(200, json.dumps(answer).encode())


def token_login(broker: SecuredBroker, endpoint: Web, secret: str = SECRET) -> dict[str, str]:
    """The variables of a client that logs in as user `wordcount`."""
    return {
        "NEWSROOM_BOOTSTRAP_SERVERS": broker.addresses["oauth"],
        "NEWSROOM_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "NEWSROOM_SASL_MECHANISM": "oauthbearer",
        "NEWSROOM_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": f"{endpoint.url}/token",
        "NEWSROOM_SASL_OAUTHBEARER_CLIENT_ID": "wordcount",
        "NEWSROOM_SASL_OAUTHBEARER_CLIENT_SECRET": secret,
    }


def certificate_login(broker: SecuredBroker) -> dict[str, str]:
    """The variables of a client that logs in by its certificate, as `CN=localhost`."""
    return {
        "NEWSROOM_BOOTSTRAP_SERVERS": broker.addresses["mutual_tls"],
        "NEWSROOM_SECURITY_PROTOCOL": "SSL",
        "NEWSROOM_SSL_CA_LOCATION": str(broker.authority),
        "NEWSROOM_SSL_CERTIFICATE_LOCATION": str(broker.folder / "client.crt"),
        "NEWSROOM_SSL_KEY_LOCATION": str(broker.folder / "client.key"),
    }
