"""What the answers of a registry mean: which are waited for, which end the service, and what the sentence names."""

import base64
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from newsroom.errors import LastingFailure, RegistryUnavailable
from newsroom.schemas import exchange
from newsroom.schemas.registry import Patience, ask_registry, check_registry, registry_client
from newsroom.settings import KafkaSettings
from newsroom.waiting import StopFlag, Stopped
from support.web import NOBODY, Request, Web

HTML = {"Content-Type": "text/html"}
UNKNOWN = b'{"error_code": 40403, "message": "Schema 7 not found"}'
SCHEMA = b'{"schema": "\\"string\\""}'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client(*urls: str, **settings: str) -> SchemaRegistryClient:
    return registry_client(KafkaSettings(registry_url=",".join(urls), **settings))  # type: ignore[arg-type]


def web_of(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Web:
    return Web(lambda request: request.reply(status, body, headers))


LASTING = [
    (401, b'{"error_code": 401, "message": "Unauthorized"}', {}, "refuses /subjects to user me (401 Unauthorized)"),
    (403, b"<html>Access denied</html>", HTML, "refuses /subjects to user me (403 Forbidden): check --registry-user"),
    (407, b"", {}, "(407 Proxy Authentication Required)"),
    (404, b"<html>no such page</html>", HTML, "is not a schema registry (404 Not Found for /subjects): correct the"),
    (200, b"<html>Welcome</html>", HTML, "is not a schema registry (its answer is text/html): correct --registry-url"),
    (307, b"", {"Location": "http://me:pw@new/x?token=1"}, "redirects /subjects to http://new/x (307): write the"),
]


@pytest.mark.parametrize(("status", "body", "headers", "words"), LASTING)
def test_what_waiting_cannot_change_ends_at_once_and_names_the_address(
    status: int, body: bytes, headers: dict[str, str], words: str
) -> None:
    with web_of(status, body, headers) as web:
        registry = client(web.url.replace("http://", "http://me:secret@"))
        with pytest.raises(LastingFailure) as raised:
            Patience(60, StopFlag()).ask(lambda: check_registry(registry), "topic news")
        assert len(web.paths) == 1
    assert words in str(raised.value)
    assert f"the schema registry at {web.url}" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert (raised.value.fields["address"], raised.value.fields["principal"]) == (web.url, "User:me")


@pytest.mark.parametrize("password", ["p:a@ss wörd%", 'x,"y/z'])
def test_a_login_is_sent_as_it_is(password: str) -> None:
    logins: list[str] = []

    def answer(request: Request) -> None:
        logins.append(request.headers["Authorization"])
        request.reply(200, b"[]")

    with Web(answer) as web:
        check_registry(client(web.url, registry_user="reader", registry_password=password))
    assert logins == ["Basic " + base64.b64encode(f"reader:{password}".encode()).decode()]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_an_overloaded_or_starting_registry_is_asked_again(status: int) -> None:
    answers = [(status, b'{"error_code": 1, "message": "try later"}'), (200, b"[]")]
    with Web(lambda request: request.reply(*answers.pop(0))) as web:
        assert Patience(60, StopFlag()).ask(lambda: check_registry(client(web.url)), "x") == []
        answers = [(status, b"")]
        with pytest.raises(RegistryUnavailable, match=f"at {web.url} answers {status} "):
            check_registry(client(web.url))


@pytest.mark.parametrize(("text", "seconds"), [("7", 7), ("date", 100), ("", 0), ("soon", 0), ("-3", 0)])
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float) -> None:
    value = formatdate(time.time() + seconds) if text == "date" else text
    with web_of(429, headers={"Retry-After": value}) as web, pytest.raises(RegistryUnavailable) as raised:
        check_registry(client(web.url))
    assert raised.value.retry_after == pytest.approx(seconds, abs=30)


def test_each_call_may_take_longer_than_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FIRST_CALL_SECONDS", 0.2)
    monkeypatch.setattr(exchange, "LONGEST_CALL_SECONDS", 60.0)
    given_up = threading.Event()

    def slow(request: Request) -> None:
        given_up.wait(1.5)
        request.reply(200, b"[]")

    with Web(slow) as web:
        registry = client(web.url)
        with pytest.raises(RegistryUnavailable, match=rf"at {web.url} does not answer within 0\.2 s: is it running"):
            check_registry(registry)
        with pytest.raises(RegistryUnavailable, match=r"within 0\.4 s"):
            check_registry(registry)
        assert Patience(60, StopFlag()).ask(lambda: check_registry(registry), "x") == []
        given_up.set()


def test_a_signal_ends_a_call_that_hangs() -> None:
    stop = StopFlag()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        registry = registry_client(KafkaSettings(registry_url=url), stop, stop.set)
        with pytest.raises(Stopped):
            check_registry(registry)


def test_a_cut_answer_and_a_refused_connection_are_waited_for() -> None:
    with web_of(200, b"[", {"Content-Length": "50"}) as web, pytest.raises(RegistryUnavailable, match=web.url):
        check_registry(client(web.url))
    with pytest.raises(RegistryUnavailable, match=rf"at http://{NOBODY} does not answer \(.*refused\): is it running"):
        check_registry(client(f"http://{NOBODY}"))


def test_a_name_that_stays_unknown_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = client("http://registry.invalid:8081")
    with pytest.raises(RegistryUnavailable, match=r"at http://registry\.invalid:8081 does not answer \(.*nown"):
        check_registry(registry)
    monkeypatch.setattr(exchange, "NAMELESS_SECONDS", 0.0)
    with pytest.raises(LastingFailure, match="cannot be resolved on this machine: correct --registry-url"):
        Patience(60, StopFlag()).ask(lambda: check_registry(client("http://registry.invalid:8081")), "x")


def test_the_next_address_is_asked_after_an_outage_a_refusal_and_a_lag() -> None:
    for status, body in [(503, b""), (401, b""), (404, b"<html>"), (404, UNKNOWN)]:
        with web_of(status, body) as first, web_of(200, SCHEMA) as second:
            registry = client(first.url, f"http://{NOBODY}", second.url)
            assert ask_registry(registry, lambda: registry.get_schema(7)).schema_str == '"string"'  # noqa: B023
            assert len(first.paths) == 1


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        ((404, UNKNOWN), (503, b""), SchemaRegistryError),
        ((503, b""), (404, UNKNOWN), SchemaRegistryError),
        ((401, b""), (503, b""), RegistryUnavailable),
        ((401, b""), (404, b""), LastingFailure),
    ],
)
def test_of_several_failures_the_one_that_may_pass_counts(
    first: tuple[int, bytes], second: tuple[int, bytes], error: type[Exception]
) -> None:
    with web_of(*first) as one, web_of(*second) as two:
        registry = client(one.url, two.url)
        with pytest.raises(error):
            ask_registry(registry, lambda: registry.get_schema(7))


def test_a_proxy_of_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_of(403, b"<html>Access denied by the web proxy</html>", HTML) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("http://", "http://me:secret@"))
        monkeypatch.setenv("https_proxy", proxy.url)
        way = f"(through the proxy {proxy.url} of the environment)"
        with pytest.raises(LastingFailure) as raised:
            check_registry(client("http://registry.invalid:8081"))
        assert f"at http://registry.invalid:8081 {way} refuses /subjects" in str(raised.value)
        assert "secret" not in str(raised.value)
        assert raised.value.fields["proxy"] == proxy.url
        with pytest.raises(LastingFailure, match=r"the proxy refuses the way to .*invalid:8443 \(through .*\(403 Forb"):
            check_registry(client("https://registry.invalid:8443"))
    with pytest.raises(RegistryUnavailable) as unavailable:
        check_registry(client("http://registry.invalid:8081"))
    assert way in str(unavailable.value)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of localhost that is its own authority, and its key, in one file."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", f"{file}.key", "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    return file


@pytest.fixture
def secure(authority: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    with Web(lambda request: request.reply(200, b"[]")) as web:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority, f"{authority}.key")
        context.load_verify_locations(authority)
        web.socket = context.wrap_socket(web.socket, server_side=True, do_handshake_on_connect=False)
        yield f"https://localhost:{web.server_port}", context


def test_the_brokers_authority_or_one_of_its_own_holds_for_it(
    secure: tuple[str, ssl.SSLContext], authority: Path
) -> None:
    url, _ = secure
    for name in ("ssl_ca_location", "registry_ca_location"):
        assert check_registry(client(url, **{name: str(authority)})) == []


def test_a_certificate_that_is_not_trusted_ends_at_once(secure: tuple[str, ssl.SSLContext], authority: Path) -> None:
    with pytest.raises(LastingFailure, match=r"no TLS connection .*\(self.signed certificate\): check --reg"):
        check_registry(client(secure[0]))
    with pytest.raises(LastingFailure, match=r"no TLS connection to .*IP address mismatch"):
        check_registry(client(secure[0].replace("localhost", "127.0.0.1"), ssl_ca_location=str(authority)))


def test_tls_to_a_plain_port_ends_at_once() -> None:
    with web_of(200, b"[]") as web, pytest.raises(LastingFailure, match=r"no TLS connection to .*wrong version number"):
        check_registry(client(web.url.replace("http:", "https:")))


def test_a_port_that_speaks_tls_is_a_question(secure: tuple[str, ssl.SSLContext]) -> None:
    with pytest.raises(RegistryUnavailable, match="is it running, and does it speak http, not https"):
        check_registry(client(secure[0].replace("https:", "http:")))


def test_a_certificate_of_the_client_is_shown(secure: tuple[str, ssl.SSLContext], authority: Path) -> None:
    url, context = secure
    context.verify_mode = ssl.CERT_REQUIRED
    trust = {"ssl_ca_location": str(authority)}
    with pytest.raises(LastingFailure, match=r"no TLS connection to .*certificate required.*--ssl-cert"):
        check_registry(client(url, **trust))
    own = {"ssl_certificate_location": str(authority), "ssl_key_location": f"{authority}.key"}
    assert check_registry(client(url, **trust, **own)) == []
