"""Settings from variables and options, and the clients' parameters they produce."""

from pathlib import Path

import pytest

from newsroom.errors import SettingsError
from newsroom.settings import KafkaSettings, ServiceSettings, load_settings


class Example(ServiceSettings):
    """A service's settings."""

    rate: float = 1.0


def test_variables_and_options_have_the_same_names_and_options_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_RATE", "2")
    assert load_settings(Example, "example", []).rate == 2
    assert load_settings(Example, "example", ["--rate", "3"]).rate == 3
    monkeypatch.setenv("NEWSROOM_BOOTSTRAP_SERVERS", "elsewhere:9092")
    assert load_settings(Example, "example", []).bootstrap_servers == "elsewhere:9092"
    assert load_settings(Example, "example", ["--bootstrap-servers", "here:1"]).bootstrap_servers == "here:1"


def test_a_wrong_value_names_option_variable_and_value() -> None:
    with pytest.raises(SettingsError, match=r"--rate \(or NEWSROOM_RATE\).*got 'fast'.*--help"):
        load_settings(Example, "example", ["--rate", "fast"])


def test_an_unknown_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SettingsError, SystemExit)) as caught:
        load_settings(Example, "example", ["--speed", "3"])
    assert "--speed" in str(caught.value) + capsys.readouterr().err


def test_sasl_without_a_password_is_refused() -> None:
    options = ["--security-protocol", "SASL_SSL", "--sasl-mechanism", "PLAIN", "--sasl-username", "u"]
    with pytest.raises(SettingsError, match="SASL_SSL needs"):
        load_settings(Example, "example", options)


def test_someone_elses_cluster_reaches_the_client_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEWSROOM_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("NEWSROOM_SASL_MECHANISM", "SCRAM-SHA-512")
    monkeypatch.setenv("NEWSROOM_SASL_USERNAME", "reader")
    monkeypatch.setenv("NEWSROOM_SASL_PASSWORD", "hidden")
    monkeypatch.setenv("NEWSROOM_SSL_CA_LOCATION", str(tmp_path / "ca.pem"))
    settings = load_settings(Example, "example", [])
    config = settings.client_config("me")
    assert config["sasl.password"] == "hidden"
    assert config["ssl.ca.location"] == str(tmp_path / "ca.pem")
    assert "hidden" not in repr(settings)


def test_producers_are_safe_and_hash_keys_as_java_does() -> None:
    config = KafkaSettings().producer_config("me", linger_ms=20, acks=None)
    assert config["partitioner"] == "murmur2_random"
    assert config["enable.idempotence"] is True
    assert config["linger.ms"] == 20
    assert "acks" not in config


def test_consumers_commit_by_themselves() -> None:
    config = KafkaSettings().consumer_config("me", "group")
    assert config["enable.auto.commit"] is False
    assert config["auto.offset.reset"] == "earliest"
