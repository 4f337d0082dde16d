"""The addresses of a registry, as a setting names them. Checking them needs no client."""

from __future__ import annotations

from urllib.parse import urlsplit

from newsroom.errors import SettingsError


def check_addresses(registry_url: str) -> None:
    """Check the setting before anything waits for what it names.

    Raises:
        SettingsError: an address is not a URL of a registry.
    """
    for address in map(str.strip, registry_url.split(",")):
        if not _is_url(address):
            # Do not show what stands before an @: it may be a password, with a comma in it.
            shown = registry_url.rpartition("@")[2] if "@" in registry_url else address
            raise SettingsError(
                f"--registry-url (or NEWSROOM_REGISTRY_URL): {shown!r} is not an address of a "
                "schema registry: write http://HOST:PORT/PATH"
            )


def _is_url(address: str) -> bool:
    try:
        url = urlsplit(address)
        host = (url.hostname or "").encode("idna").decode("idna")
        return url.scheme == "mock" or (url.scheme in {"http", "https"} and bool(host) and url.port != 0)
    except ValueError:  # a port that is not a number, brackets that do not close, a name that no resolver takes
        return False
