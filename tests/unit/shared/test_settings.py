"""Settings from variables and options, and the clients' parameters they produce."""

import re
import subprocess
from pathlib import Path

import certifi
import pytest
from pydantic_settings import SettingsConfigDict

from newsroom.errors import SettingsError
from newsroom.property_check import refuse_unknown
from newsroom.settings import SERVICE_PREFIXES, KafkaSettings, ServiceSettings, load_settings, unknown_variables
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.ports import Ports
from newsroom_stack.settings import StackSettings
from support.services import SERVICES


class Example(ServiceSettings):
    """A service's settings."""

    model_config = SettingsConfigDict(env_prefix="NEWSROOM_PRODUCER_")

    rate: float = 1.0


def test_variables_and_options_have_the_same_names_and_options_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_PRODUCER_RATE", "2")
    assert load_settings(Example, "example", []).rate == 2
    assert load_settings(Example, "example", ["--rate", "3"]).rate == 3
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", "elsewhere:9092")
    assert load_settings(Example, "example", []).bootstrap_servers == "elsewhere:9092"
    assert load_settings(Example, "example", ["--bootstrap-servers", "here:1"]).bootstrap_servers == "here:1"


def test_by_default_a_service_talks_to_the_stack_of_this_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "200")
    settings, ports = load_settings(Example, "example", []), Ports(200)
    assert (settings.bootstrap_servers, settings.registry_url) == (ports.bootstrap, ports.registry_url)
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "many")
    with pytest.raises(SettingsError, match="NEWSROOM_PORT_OFFSET='many': it must be a whole number from 0 to 15000"):
        load_settings(Example, "example", [])
    monkeypatch.setenv("NEWSROOM_PORT_OFFSET", "")
    assert load_settings(Example, "example", []).bootstrap_servers == Ports().bootstrap


def test_a_variable_means_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_RATE", "2")
    assert load_settings(Example, "example", []).rate == 1
    monkeypatch.setenv("NEWSROOM_LOG_LEVEL", "error")
    assert load_settings(Example, "example", []).log_level == "error"
    monkeypatch.setenv("NEWSROOM_PRODUCER_LOG_LEVEL", "debug")
    assert load_settings(Example, "example", []).log_level == "debug"


def test_a_variable_that_nothing_reads_is_named_with_what_was_meant() -> None:
    names = [
        *("NEWSROOM_RATE", "NEWSROOM_PRODUCER_SPEED", "NEWSROOM_BOOTSTRAP", "NEWSROOM_CONSUMER_COUNT"),
        *("NEWSROOM_PRODUCER_RATE", "NEWSROOM_STATE_DIR", "NEWSROOM_HOME", "NEWSROOM_PRODUCER_LOG_LEVEL", "PATH"),
    ]
    assert unknown_variables(Example, names) == [
        "NEWSROOM_BOOTSTRAP is not a setting and is ignored",
        "NEWSROOM_PRODUCER_SPEED is not a setting and is ignored",
        "NEWSROOM_RATE is not a setting and is ignored: write NEWSROOM_PRODUCER_RATE",
    ]


def test_every_service_has_a_prefix_of_its_own() -> None:
    assert tuple(service.model_config["env_prefix"] for service in SERVICES) == SERVICE_PREFIXES


def test_no_variable_of_the_stack_or_the_compose_file_is_called_unknown() -> None:
    compose = set(re.findall(r"NEWSROOM_[A-Z0-9_]+", (REPOSITORY / "docker-compose.yml").read_text()))
    stack = StackSettings().as_environment()
    assert unknown_variables(Example, [*compose, *stack]) == []


def test_a_wrong_value_names_option_variable_and_value() -> None:
    with pytest.raises(SettingsError, match=r"--rate \(or NEWSROOM_PRODUCER_RATE\).*got 'fast'.*--help"):
        load_settings(Example, "example", ["--rate", "fast"])


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--speed", "3"], "unrecognized arguments: --speed 3"),
        (["--rate"], "argument --rate: expected one argument"),
    ],
)
def test_an_option_that_cannot_be_read_is_one_sentence(arguments: list[str], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(Example, "example", arguments)
    assert str(caught.value) == f"example: {problem}. See 'example --help'"


def test_sasl_without_a_password_is_refused() -> None:
    options = ["--security-protocol", "SASL_SSL", "--sasl-mechanism", "PLAIN", "--sasl-username", "u"]
    with pytest.raises(SettingsError, match="SASL_SSL needs"):
        load_settings(Example, "example", options)


def test_someone_elses_cluster_reaches_the_client_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("NEWSROOM_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("NEWSROOM_SASL_USERNAME", "reader")
    monkeypatch.setenv("NEWSROOM_SASL_PASSWORD", "hidden")
    monkeypatch.setenv("NEWSROOM_SSL_CA_LOCATION", certifi.where())
    settings = load_settings(Example, "example", [])
    config = settings.client_config("me")
    assert config["sasl.password"] == "hidden"
    assert config["ssl.ca.location"] == certifi.where()
    assert "hidden" not in repr(settings)


def test_producers_are_safe_and_hash_keys_as_java_does() -> None:
    config = KafkaSettings().producer_config("me", linger_ms=20, acks=None)
    assert config["partitioner"] == "murmur2_random"
    assert config["enable.idempotence"] is True
    assert config["max.in.flight.requests.per.connection"] == 1, "decision 9"
    assert config["linger.ms"] == 20
    assert "acks" not in config


def test_consumers_commit_by_themselves() -> None:
    config = KafkaSettings().consumer_config("me", "group")
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "earliest"


def test_built_alone_it_reads_our_variables_and_no_one_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASL_MECHANISM", "GSSAPI")
    monkeypatch.setenv("REGISTRY_URL", "http://elsewhere")
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", "mine:9092")
    settings = KafkaSettings()
    assert (settings.sasl_mechanism, settings.bootstrap_servers) == (None, "mine:9092")
    assert settings.registry_url.startswith("http://localhost")


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read (No such file"), ("", "no CA certificates in PEM format")]
)
def test_certificates_that_cannot_be_used_are_named(tmp_path: Path, content: str | None, problem: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    options = ["--security-protocol", "SSL", "--ssl-ca-location", str(path)]
    with pytest.raises(SettingsError) as raised:
        load_settings(Example, "example", options)
    assert f"--ssl-ca-location {path}: {problem}" in str(raised.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--sasl-username u", "--sasl-username is set, but security protocol PLAINTEXT has no login"),
        ("--sasl-password p", "--sasl-password is set, but security protocol PLAINTEXT has no login"),
        (
            "--security-protocol SSL --sasl-mechanism PLAIN --sasl-username u --sasl-password p",
            "--sasl-mechanism is set, but security protocol SSL has no login",
        ),
        ("--ssl-ca-location /ca.pem", "--ssl-ca-location is set, but neither security protocol PLAINTEXT nor"),
        ("--security-protocol SSL --ssl-certificate-location /c.pem", "--ssl-key-location belong together"),
        ("--registry-user u", "--registry-user and --registry-password belong together"),
        ("--registry-password p", "--registry-user and --registry-password belong together"),
        ("--security-protocol SASL_SSL --sasl-username u", "needs --sasl-mechanism, --sasl-username, --sasl-password"),
    ],
)
def test_settings_that_contradict_each_other_are_one_sentence(options: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        load_settings(Example, "example", options.split())


@pytest.mark.parametrize(
    "servers", ["", "broker", "a:9092;b:9092", "PLAINTEXT://a:9092", "a:9092,", "a:port", "::1:9092", "a:0", "a:65536"]
)
def test_a_list_of_brokers_that_no_client_can_read_is_refused(servers: str) -> None:
    with pytest.raises(
        SettingsError, match=r"--bootstrap-servers \(or NEWSROOM_BOOTSTRAP_SERVERS\): .* is not host:port"
    ):
        load_settings(Example, "example", ["--bootstrap-servers", servers])


def test_addresses_lose_their_spaces_and_words_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    options = "--security-protocol sasl_ssl --sasl-mechanism scram-sha-512 --sasl-username u --sasl-password p"
    settings = load_settings(Example, "example", [*options.split(), "--bootstrap-servers", "a:1, [::1]:9092"])
    assert (settings.security_protocol, settings.sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    assert settings.bootstrap_servers == "a:1,[::1]:9092"
    for name in ("SECURITY_PROTOCOL", "SASL_USERNAME", "SSL_CA_LOCATION", "REGISTRY_USER", "PRODUCER_RATE"):
        monkeypatch.setenv(f"NEWSROOM_{name}", "")
    empty = load_settings(Example, "example", [])
    assert (empty.security_protocol, empty.rate) == ("PLAINTEXT", 1)


def test_a_registry_with_https_gets_the_certificates_too(tmp_path: Path) -> None:
    certificate = tmp_path / "me.pem"
    key = tmp_path / "me.key"
    request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=me"]
    subprocess.run(["openssl", *request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    settings = KafkaSettings(
        registry_url="https://registry",
        ssl_ca_location=certificate,
        ssl_certificate_location=certificate,
        ssl_key_location=key,
    )
    config = settings.registry_config()
    assert config["ssl.ca.location"] == config["ssl.certificate.location"] == str(certificate)
    assert config["ssl.key.location"] == str(key)
    assert "ssl.ca.location" not in settings.client_config("me")
    own = settings.model_copy(update={"registry_ca_location": Path("/other.pem")})
    assert own.registry_config()["ssl.ca.location"] == "/other.pem"
    options = f"--security-protocol SSL --ssl-certificate-location {key} --ssl-key-location {key}"
    with pytest.raises(SettingsError, match=r"--ssl-certificate-location .*fits the key"):
        load_settings(Example, "example", options.split())


def test_consumers_notice_new_partitions_within_half_a_minute() -> None:
    assert KafkaSettings().consumer_config("c", "g")["topic.metadata.refresh.interval.ms"] <= 30_000


TOKEN = ["--security-protocol", "SASL_SSL", "--sasl-mechanism", "OAUTHBEARER"]
ENDPOINT = ["--sasl-oauthbearer-token-endpoint-url", "https://id/token", "--sasl-oauthbearer-client-id", "me"]


def test_a_token_endpoint_reaches_the_client_parameters() -> None:
    secret = ["--sasl-oauthbearer-client-secret", "s", "--sasl-oauthbearer-scope", "kafka"]
    config = load_settings(Example, "example", [*TOKEN, *ENDPOINT, *secret]).client_config("c")
    assert {name: value for name, value in config.items() if name.startswith("sasl.")} == {
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": "https://id/token",
        "sasl.oauthbearer.client.id": "me",
        "sasl.oauthbearer.client.secret": "s",
        "sasl.oauthbearer.scope": "kafka",
    }
    with pytest.raises(SettingsError, match=r"SASL_SSL needs --sasl-mechanism, --sasl-oauthbearer-token-endpoint-url"):
        load_settings(Example, "example", [*TOKEN, *ENDPOINT])
    with pytest.raises(SettingsError, match=r"--sasl-username does not belong to --sasl-mechanism OAUTHBEARER"):
        load_settings(Example, "example", [*TOKEN, *ENDPOINT, *secret, "--sasl-username", "u"])


def test_properties_of_librdkafka_reach_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_CLIENT_PROPERTIES", "socket.nagle.disable=false, linger.ms=7,\ndebug=msg,broker")
    settings = load_settings(Example, "example", [])
    expected = {"socket.nagle.disable": "false", "linger.ms": "7", "debug": "msg,broker"}
    for config in (
        settings.client_config("c"),
        settings.producer_config("c", linger_ms=20),
        settings.consumer_config("c", "g"),
    ):
        assert expected.items() <= config.items()
    unsecured = "enable.sasl.oauthbearer.unsecure.jwt=true,sasl.oauthbearer.config=principal=me scope=x"
    config = load_settings(Example, "example", [*TOKEN, "--client-properties", unsecured]).client_config("c")
    assert config["sasl.oauthbearer.config"] == "principal=me scope=x"
    assert config["sasl.mechanism"] == "OAUTHBEARER"


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ("enable.auto.commit=true", "must not set enable.auto.commit: the service commits offsets itself"),
        ("linger.ms=5,isolation.level=read_uncommitted", "must not set isolation.level: records of aborted"),
        ("transactional.id=x", "must not set transactional.id: a replica's identity"),
        ("acks=1", "must not set acks: records would be lost"),
        ("partitioner=random", "must not set partitioner: a word must be on the same partition"),
        ("test.mock.num.brokers=3", "must not set test.mock.num.brokers: the services talk to a real cluster"),
        ("sasl.password=secret", "must not set sasl.password: set --sasl-password instead"),
        ("fetch.min.bytes", "'fetch.min.bytes' has no value; write name=value,name=value"),
    ],
)
def test_a_property_that_would_break_a_promise_is_refused(properties: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(sentence)) as raised:
        load_settings(Example, "example", ["--client-properties", properties])
    assert "secret" not in str(raised.value)


def test_librdkafka_looks_at_the_properties_at_the_start() -> None:
    refuse_unknown({"linger.ms": "5", "fetch.min.bytes": "1"})
    for name, value in (("ssl.endpoint", "x"), ("socket.timeout.ms", "soon")):
        with pytest.raises(SettingsError, match=f"--client-properties: librdkafka refuses {name}: "):
            refuse_unknown({name: value})
