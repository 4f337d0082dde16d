"""The token that readers need, if one is set. A browser gives it once, in the address, and keeps a cookie instead."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from flask import Response, redirect, render_template, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response as Answer

COOKIE = "newsroom_status"
OPEN_ENDPOINTS = frozenset({"livez", "readyz", "static"})
"""What an orchestrator asks, and the styles of the page that asks for the token."""
REALM = "newsroom"


def guard_token(app: Flask, token: str, *, secure: bool) -> None:
    """Make the application answer only to readers with this token. `secure`: browsers reach it by HTTPS alone."""
    # The cookie does not tell the token, and is void with the next one.
    session = hmac.new(token.encode(), b"the cookie of the status page", "sha256").hexdigest()

    @app.before_request
    def known_reader() -> Answer | None:
        if request.endpoint in OPEN_ENDPOINTS:
            return None
        offered = request.args.get("token") if request.blueprint == "page" else None
        if offered is not None:
            return _cookie(session, secure=secure) if _same(offered, token) else _question(wrong=True)
        login = request.authorization
        if login is not None and login.type == "bearer" and _same(login.token or "", token):
            return None
        if _same(request.cookies.get(COOKIE, ""), session):
            return None
        if request.blueprint == "page":
            return _question(wrong=False)
        raise Unauthorized(
            "This service answers to readers with its token: send 'Authorization: Bearer TOKEN', with the value of "
            "NEWSROOM_STATUS_TOKEN.",
            www_authenticate=WWWAuthenticate("bearer", {"realm": REALM}),
        )


def _same(offered: str, secret: str) -> bool:
    return hmac.compare_digest(offered.encode(errors="replace"), secret.encode())


def _cookie(session: str, *, secure: bool) -> Answer:
    """Lead the browser to the same page, with the cookie and without the token in its address."""
    rest = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
    response = redirect(quote(request.path) + (f"?{urlencode(rest)}" if rest else ""), 303)
    response.set_cookie(COOKIE, session, httponly=True, secure=secure, samesite="Lax")
    response.headers["Cache-Control"] = "no-store"
    return response


def _question(*, wrong: bool) -> Response:
    response = Response(render_template("token.html", wrong=wrong), 401)
    response.www_authenticate = WWWAuthenticate("bearer", {"realm": REALM})
    response.headers["Cache-Control"] = "no-store"
    return response
