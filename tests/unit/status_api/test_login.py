"""Who may read if a token is set: clients by their header, browsers by a cookie that they get for the token."""

import json
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator
from pydantic import SecretStr
from werkzeug.test import TestResponse

from newsroom.errors import SettingsError
from newsroom.settings import load_settings
from status_api.settings import StatusSettings
from unit.status_api.fakes import Site, a_snapshot

TOKEN = "a-token-of-the-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def site_with(public_url: str = "") -> Site:
    site = Site(settings=StatusSettings(token=SecretStr(TOKEN), public_url=public_url))
    site.store.succeeded(a_snapshot())
    return site


@pytest.fixture
def locked() -> Site:
    return site_with()


def cookie_of(response: TestResponse) -> str:
    return response.headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/api/v1/groups", "/api/v1/events", "/api/v1/openapi.json", "/metrics", "/nowhere"])
def test_a_client_without_the_token_reads_nothing(locked: Site, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer another-token-of-16"}, {"Authorization": f"Basic {TOKEN}"}):
        response = locked.client.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer realm=newsroom"
        assert "NEWSROOM_STATUS_TOKEN" in response.text
        assert "avro-consumer" not in response.text
    assert locked.client.get(f"{path}?token={TOKEN}").status_code == 401, "only a page takes it from the address"


def test_the_answer_without_the_token_is_as_described(locked: Site) -> None:
    document: dict[str, Any] = json.loads(locked.client.get("/api/v1/openapi.json", headers=BEARER).text)
    answer = document["components"]["responses"]["NoToken"]
    (content,) = answer["content"].values()
    response = locked.client.get("/api/v1/groups")
    jsonschema.validate(response.json, content["schema"] | {"components": document["components"]}, Draft202012Validator)
    assert all("401" in path["get"]["responses"] for path in document["paths"].values())


def test_a_client_with_the_token_reads(locked: Site) -> None:
    for path in ("/api/v1/groups", "/metrics", "/"):
        assert locked.client.get(path, headers=BEARER).status_code == 200


def test_probes_and_styles_need_no_token(locked: Site) -> None:
    for path in ("/livez", "/readyz", "/static/page.css"):
        with locked.client.get(path) as response:
            assert response.status_code == 200


def test_a_page_asks_a_browser_for_the_token(locked: Site) -> None:
    for path, wrong in (("/", False), ("/topics/news", False), ("/?token=guess", True)):
        response = locked.client.get(path)
        assert response.status_code == 401
        assert response.content_type == "text/html; charset=utf-8"
        assert 'name="token"' in response.text
        assert ("This is not the token." in response.text) == wrong
        assert "avro-consumer" not in response.text
        assert "form-action 'self'" in response.headers["Content-Security-Policy"]


def test_a_browser_gives_the_token_once(locked: Site) -> None:
    response = locked.client.get(f"/topics/news?x=1&token={TOKEN}")
    assert (response.status_code, response.headers["Location"]) == (303, "/topics/news?x=1")
    assert cookie_of(response).endswith("; HttpOnly; Path=/; SameSite=Lax")
    assert TOKEN not in cookie_of(response)
    for path in ("/topics/news", "/live", "/live/lanes", "/api/v1/groups"):
        assert locked.client.get(path).status_code == 200, "the client sends the cookie"


def test_a_cookie_of_another_token_is_void(locked: Site) -> None:
    cookie = cookie_of(locked.client.get(f"/?token={TOKEN}")).partition(";")[0]
    other = Site(settings=StatusSettings(token=SecretStr("another-token-of-16")))
    assert other.client.get("/api/v1/groups", headers={"Cookie": cookie}).status_code == 401


def test_the_cookie_of_a_page_by_https_goes_by_https_only() -> None:
    response = site_with("https://status.example").client.get(f"/?token={TOKEN}")
    assert "; Secure;" in cookie_of(response)


@pytest.mark.parametrize("token", ["short", "with a space in the middle", "ümlaut-ümlaut-ümlaut", "a" * 20 + "\n"])
def test_a_token_that_cannot_be_sent_or_is_guessed_is_refused(token: str) -> None:
    with pytest.raises(SettingsError, match="at least 16 characters, of ASCII and without spaces") as caught:
        load_settings(StatusSettings, "status-api", ["--token", token])
    assert token not in str(caught.value)
