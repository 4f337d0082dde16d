"""Causes that waiting cannot change: which errors mean one, what their sentences name, and when they are raised."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError

from newsroom import access as access_module
from newsroom.access import Access, Right
from newsroom.errors import LastingFailure
from newsroom.listener import Listener, listener_at
from support.secured import make_certificates
from support.waiting import wait_for

CONFIG = {"bootstrap.servers": "b1:9092,b2:9092"}
LOGIN = CONFIG | {"security.protocol": "SASL_SSL", "sasl.username": "reader", "sasl.mechanism": "PLAIN"}
READ_NEWS = Right("READ", "topic", "news")
READ_GROUP = Right("READ", "group", "g")
AT_B1 = "sasl_ssl://b1:9092/bootstrap: "


def test_a_denial_names_principal_address_operation_resource_and_acl() -> None:
    access = Access(LOGIN, READ_NEWS, READ_GROUP)
    failure = access.failure(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "Broker: Group authorization failed"))
    assert str(failure) == (
        "user reader may not READ group g at b1:9092,b2:9092 (Broker: Group authorization failed): add an ACL that "
        "allows User:reader READ group g"
    )
    assert failure is not None
    fields = {"principal": "User:reader", "operation": "READ", "resource": "group g", "address": "b1:9092,b2:9092"}
    assert failure.fields == fields


@pytest.mark.parametrize(
    ("code", "text", "sentence"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "x", r"may not READ topic news .*allows User:reader READ topic news"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "x", "may not do this"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "x", "may not do this"),
        (KafkaError._AUTHENTICATION, f"{AT_B1}bad", r"login of user reader .* at b1:9092 was refused \(bad\): check"),
        (KafkaError.UNSUPPORTED_SASL_MECHANISM, "x", "with --sasl-mechanism PLAIN"),
        (KafkaError._SSL, f"{AT_B1}verify failed", r"no TLS connection to b1:9092 \(verify failed\): check --ssl-ca"),
        (KafkaError.POLICY_VIOLATION, "too many", r"refuses a request \(too many\): its policy must change"),
    ],
)
def test_each_lasting_cause_is_a_sentence(code: int, text: str, sentence: str) -> None:
    with pytest.raises(LastingFailure, match=sentence):
        Access(LOGIN, READ_NEWS).raise_lasting(KafkaError(code, text))


def test_a_denial_of_another_kind_than_the_request_names_the_clients_own_right() -> None:
    denied = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "x")
    assert "may not READ group g at" in str(Access(LOGIN, READ_GROUP).failure(denied, READ_NEWS))


def test_a_denied_idempotent_producer_lacks_the_right_to_write() -> None:
    access = Access(LOGIN, READ_NEWS, Right("WRITE", "topic", "news"))
    denied = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "x")
    assert "user reader may not WRITE topic news at" in str(access.failure(denied))
    assert "may not CREATE cluster at" in str(access.failure(denied, Right("CREATE", "cluster", "")))


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE])
def test_what_may_pass_is_not_lasting(code: int) -> None:
    access = Access(CONFIG)
    for _ in range(5):
        access.note(KafkaError(code, "b1:9092/bootstrap: away"))
    access.check()


def test_the_second_refusal_ends_the_service_and_the_first_one_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = KafkaError(KafkaError._AUTHENTICATION, "Invalid username or password")
    access = Access(LOGIN)
    access.note(refused)
    access.check()
    access.note(refused)
    with pytest.raises(LastingFailure):
        access.check()
    monkeypatch.setattr(access_module, "SETTLE_SECONDS", 0.0)
    access = Access(LOGIN)
    access.note(refused)
    with pytest.raises(LastingFailure):
        access.check()


@pytest.mark.parametrize("code", [KafkaError._SSL, KafkaError._AUTHENTICATION])
def test_a_broker_that_refuses_while_it_starts_is_forgotten_once_one_accepts(code: int) -> None:
    access = Access(LOGIN, READ_NEWS)
    for _ in range(3):
        access.note(KafkaError(code, f"{AT_B1}connection closed"))
        access.answered()
        access.check()
    denied = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied")
    access.note(denied)
    access.answered()
    access.note(denied)
    with pytest.raises(LastingFailure):
        access.check()


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> dict[str, Listener | None]:
    """What each address speaks; an address that is not in it has a name that does not resolve."""
    known: dict[str, Listener | None] = {}
    monkeypatch.setattr(access_module, "FIRST_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(access_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(access_module, "_resolves", known.__contains__)
    monkeypatch.setattr(access_module, "listener_at", known.__getitem__)
    return known


def test_an_address_of_another_protocol_is_named_with_the_right_one(looking: dict[str, Listener | None]) -> None:
    looking |= {"b1:9092": None, "b2:9092": Listener("SASL_SSL", ("PLAIN",))}
    sentence = r"b2:9092 is a listener for SASL_SSL, .*PLAIN, but the client speaks PLAINTEXT: set --sec"
    with pytest.raises(LastingFailure, match=sentence):
        Access(CONFIG).no_answer()


def test_a_cluster_that_is_just_away_is_waited_for(looking: dict[str, Listener | None]) -> None:
    looking |= {"b1:9092": None}
    access = Access(CONFIG)
    for _ in range(9):
        access.no_answer()


def test_names_that_do_not_resolve_are_looked_up_for_some_seconds(
    looking: dict[str, Listener | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access(CONFIG)
    for _ in range(3):
        access.no_answer()
    monkeypatch.setattr(access_module, "NAMELESS_SECONDS", 0.0)
    looking["b1:9092"] = None
    access.no_answer()
    del looking["b1:9092"]
    access.no_answer()  # from here on there is none again
    with pytest.raises(LastingFailure, match=r"b1:9092, b2:9092 cannot be resolved on this machine: correct --boot"):
        access.no_answer()


@pytest.mark.parametrize("from_metadata", [True, False])
def test_a_name_that_only_the_brokers_know_is_named_with_its_setting(
    looking: dict[str, Listener | None], *, from_metadata: bool
) -> None:
    looking |= dict.fromkeys(("b1:9092", "b2:9092"), Listener("PLAINTEXT"))
    access = Access(CONFIG)
    metadata = SimpleNamespace(brokers={7: SimpleNamespace(host="kafka-7", port=9092)})
    access.note(KafkaError(KafkaError._RESOLVE, "kafka-7:9092/7: Failed to resolve"))
    with pytest.raises(LastingFailure, match=r"call themselves kafka-7:9092, .*advertised\.listeners"):
        access.check_advertised(metadata) if from_metadata else access.no_answer()


def test_one_broker_whose_name_is_away_is_an_outage(looking: dict[str, Listener | None]) -> None:
    looking["b1:9092"] = Listener("PLAINTEXT")
    brokers = {number: SimpleNamespace(host=f"b{number}", port=9092) for number in (1, 2)}
    Access(CONFIG).check_advertised(SimpleNamespace(brokers=brokers))


@contextmanager
def answering(*replies: bytes) -> Iterator[str]:
    """An address that gives each connection in turn its reply, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for reply in replies:
                connection, _ = server.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


def test_what_an_address_speaks() -> None:
    with answering(b"", struct.pack(">iihih5s", 21, 0, 33, 1, 5, b"PLAIN")) as address:
        assert listener_at(address) == Listener("SASL_PLAINTEXT", ("PLAIN",))
    with answering(b"", struct.pack(">iihi", 14, 0, 34, 0)) as address:
        assert listener_at(address) == Listener("PLAINTEXT")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder, "server")
    return folder


def test_a_broker_that_asks_for_a_certificate_is_a_listener(certificates: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.pem")
    context.load_verify_locations(certificates / "server-ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):  # the server is closed at the end
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        context.wrap_socket(connection, server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        # It looks for a second only, which a busy machine may take.
        wait_for("its kind", lambda: listener_at(address) == Listener("SSL", wants_certificate=True))
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_a_missing_client_certificate_is_named_with_its_settings(
    looking: dict[str, Listener | None], protocol: str
) -> None:
    looking |= dict.fromkeys(("b1:9092", "b2:9092"), Listener("SSL", wants_certificate=True))
    config = CONFIG | {"security.protocol": protocol}
    sentence = (
        r"^b1:9092 closed the connection during the TLS handshake, because it asks for a client certificate: "
        r"set --ssl-certificate-location and --ssl-key-location$"
    )
    with pytest.raises(LastingFailure, match=sentence):
        Access(config).no_answer()
    # A client that has one is not refused for lacking it, whatever else is wrong.
    Access(config | {"ssl.certificate.location": "client.crt"}).no_answer()
    with pytest.raises(LastingFailure, match="b1:9092 is a listener for SSL, but the client speaks PLAINTEXT"):
        Access(CONFIG).no_answer()


def test_what_closes_each_connection_is_no_listener() -> None:
    with answering(b"", b"") as address:
        assert listener_at(address) is None
