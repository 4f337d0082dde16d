"""The proxy that the environment names, as every company's does: it is never asked for this machine's own addresses."""

from __future__ import annotations

import os
import re

NO_PROXY = ("no_proxy", "NO_PROXY")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LOOPBACK_ADDRESS = re.compile(r"(?<![\d.])127(?:\.\d{1,3}){3}(?![\d.])")
"""Any other address of 127.0.0.0/8: HTTP clients take no network in `no_proxy`, only addresses and names."""


def ask_no_proxy_for_loopback(addresses: str = "") -> None:
    """Add the loopback to this process's `no_proxy`, and every address of 127.0.0.0/8 in the text `addresses`."""
    own = next((os.environ[name] for name in NO_PROXY if os.environ.get(name)), "")
    names = [name.strip() for name in own.split(",") if name.strip()]
    if "*" in names:
        return
    value = ",".join(dict.fromkeys([*names, *LOOPBACK, *LOOPBACK_ADDRESS.findall(addresses)]))
    os.environ.update(dict.fromkeys(NO_PROXY, value))


def proxy_of(url: str) -> str | None:
    """The proxy of the environment through which HTTP clients ask `url`, without its login; None if there is none."""
    # Imported here: it costs CPU time that `newsroom ps` does not have.
    from urllib.parse import urlsplit  # noqa: PLC0415
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415

    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or not parts.hostname or proxies.get("no") == "*" or proxy_bypass(parts.hostname):
        return None
    return without_login(proxy)


def without_login(text: str) -> str:
    """The text without the user and the password of the addresses in it."""
    return re.sub(r"//[^/\s]*@", "//", text)
