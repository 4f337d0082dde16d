"""What the options of news-producer become."""

import pytest

from news_producer.settings import ProducerSettings
from newsroom.errors import SettingsError
from newsroom.settings import load_settings


def parse(*argv: str) -> ProducerSettings:
    return load_settings(ProducerSettings, "news-producer", list(argv))


def test_sources_repeat_and_a_comma_is_part_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "HTTPS://host/feed?tags=a,b"
    assert parse("--source", address, "--source=b,c.csv", "--rate", "3", "--source", "-").sources == (
        *(address, "b,c.csv"),
        "-",
    )
    assert parse().sources == parse("--source", "").sources == ("generator",)
    assert parse("--format", "string").sources == ("lab",)
    monkeypatch.setenv("NEWSROOM_PRODUCER_SOURCE", f" {address}\n\nb,c.csv\n")
    assert parse().sources == (address, "b,c.csv")


def test_topic_subject_and_registration() -> None:
    settings = parse("--topic", "t", "--schema", "x.avsc", "--no-register")
    assert (settings.topic_name, settings.subject_name, str(settings.schema_path)) == ("t", "t-value", "x.avsc")
    assert not settings.register_schema
    assert (parse().topic_name, parse("--format", "string").topic_name) == ("news", "mytopic")


def test_idempotence_needs_acks_all_but_gives_way_when_it_was_not_asked_for() -> None:
    with pytest.raises(SettingsError, match="idempotence needs acks=all, got acks=1"):
        parse("--acks", "1", "--idempotence")
    assert parse("--acks", "0").client("c")["enable.idempotence"] is False
    assert parse().client("c")["enable.idempotence"] is True


def test_client_parameters_carry_the_options() -> None:
    config = parse(
        "--linger-ms",
        "20",
        "--batch-size",
        "5000",
        "--compression",
        "zstd",
        "--sticky-linger-ms",
        "0",
        "--message-timeout",
        "2.5",
    ).client("c")
    assert (config["linger.ms"], config["batch.size"], config["compression.type"]) == (20, 5000, "zstd")
    assert (config["sticky.partitioning.linger.ms"], config["delivery.timeout.ms"]) == (0, 2500)
    assert config["partitioner"] == "murmur2_random"
