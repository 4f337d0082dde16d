"""Error responses as RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import request
from werkzeug.exceptions import HTTPException

from newsroom.logs import get_logger
from status_api.responses import json_response

if TYPE_CHECKING:
    from flask import Flask, Response

log = get_logger(__name__)

CONTENT_TYPE = "application/problem+json"


def problem(status: int, detail: str) -> Response:
    """Make an error response: the title of its status, and a sentence about this occurrence."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.path,
    }
    return json_response(body, status, CONTENT_TYPE)


def install_problems(app: Flask) -> None:
    """Make the application answer every error with problem details."""

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        response = problem(error.code or 500, error.description or "")
        # For example, a 405 response must carry the header Allow.
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def fault(error: Exception) -> Response:
        log.error("request failed", path=request.path, exc_info=error)
        return problem(500, "The request failed because of an error in the status API; see its log.")
