"""Which requests are answered: of a known host, that only read, with query parameters that the path knows."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import abort, request
from werkzeug.exceptions import BadRequest, MethodNotAllowed

if TYPE_CHECKING:
    from flask import Flask

    from status_api.settings import StatusSettings

METHODS = ["GET", "HEAD"]
TRUE_OR_FALSE = {"true": True, "false": False}
LIST = frozenset({"internal", "limit", "cursor", "sort", "q"})
PARAMETERS: dict[str, frozenset[str]] = (
    dict.fromkeys(("api.cluster", "api.group", "api.group_lag", "api.pipeline"), frozenset({"internal"}))
    | dict.fromkeys(("api.rebalances", "api.group_rebalances"), frozenset({"internal", "limit", "before"}))
    | dict.fromkeys(("api.words", "api.joins", "api.topic_records"), frozenset({"limit"}))
    | {"api.topics": LIST, "api.groups": LIST | {"state"}}
)
"""The query parameters of each endpoint of the API; the others have none."""


def guard_requests(app: Flask, settings: StatusSettings) -> None:
    """Make the application refuse every request that it does not mean to answer."""
    hosts = allowed_hosts(settings)

    @app.before_request
    def known_host() -> None:
        # Otherwise a web site whose name is made to lead here could read the page in a browser of this machine.
        name = host_name(request.headers.get("Host", ""))
        if name not in hosts and not _is_address(name):
            abort(421, f"This service is not {name!r}: if that is its name, add it to NEWSROOM_STATUS_ALLOWED_HOSTS.")

    @app.before_request
    def only_reading() -> None:
        if request.method not in METHODS:
            raise MethodNotAllowed(METHODS)

    @app.before_request
    def known_parameters() -> None:
        if request.blueprint != "api" or request.endpoint is None:
            return
        known = PARAMETERS.get(request.endpoint, frozenset())
        for name in request.args:
            if name not in known:
                what = f"it takes {', '.join(sorted(known))}" if known else "it takes none"
                raise BadRequest(f"The path does not know the query parameter {name!r}: {what}.")


def flag(name: str) -> bool:
    """Return a query parameter that is true or false; it is false if the request does not have it.

    Raises:
        BadRequest: it is something else, or the request has it twice.
    """
    values = request.args.getlist(name)
    if len(values) > 1 or any(value not in TRUE_OR_FALSE for value in values):
        raise BadRequest(f"The query parameter {name!r} is true or false, once.")
    return TRUE_OR_FALSE[values[0]] if values else False


def number(name: str, default: int, most: int) -> int:
    """Return a query parameter that is a number from 1 to `most`.

    Raises:
        BadRequest: it is something else, or the request has it twice.
    """
    values = request.args.getlist(name)
    if not values:
        return default
    text = values[0]
    if len(values) > 1 or not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= most:
        raise BadRequest(f"The query parameter {name!r} is a number from 1 to {most}, once.")
    return int(text)


def allowed_hosts(settings: StatusSettings) -> frozenset[str]:
    """Return the names of this service, in lower case. An IP address needs no name: it cannot be made to lead here."""
    public = urlsplit(settings.public_url).hostname or ""
    names = ["localhost", settings.http_host, public, *settings.allowed_hosts.split(",")]
    return frozenset(name.strip().lower() for name in names if name.strip())


def host_name(header: str) -> str:
    """Return the host of a Host header in lower case, without its port and without the brackets of an IPv6 address."""
    try:
        return (urlsplit(f"//{header}").hostname or "").rstrip(".")
    except ValueError:
        return header


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
