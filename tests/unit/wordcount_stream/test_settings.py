"""The topics of the word count: the group's own, and no topic with two parts."""

import pytest

from newsroom.errors import SettingsError
from newsroom.settings import load_settings
from provision.settings import ProvisionSettings
from wordcount_stream.settings import WordcountSettings


def read(options: str) -> WordcountSettings:
    return load_settings(WordcountSettings, "wordcount-stream", options.split())


def test_the_default_group_keeps_its_topics_and_another_one_has_its_own() -> None:
    assert (read("").deltas_name, read("").dead_letter_topic) == ("word-deltas", "wordcount-stream.dlq")
    other = read("--consumer-group other")
    assert (other.deltas_name, other.dead_letter_topic) == ("other-word-deltas", "other.dlq")
    named = read("--consumer-group other --deltas-topic between --dlq-topic bad")
    assert (named.deltas_name, named.dead_letter_topic) == ("between", "bad")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--counts-topic mytopic", "--strings-topic and --counts-topic are both mytopic"),
        ("--dlq-topic news", "--news-topic and --dlq-topic are both news"),
        ("--strings-topic none --news-topic none", "nothing would be counted"),
        ("--counts-topic a/b", "--counts-topic (or NEWSROOM_COUNTS_TOPIC)"),
    ],
)
def test_topics_that_cannot_be_are_refused(options: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read(options)
    assert sentence in str(raised.value)


def test_one_variable_names_a_topic_for_all_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSROOM_COUNTS_TOPIC", "totals")
    monkeypatch.setenv("NEWSROOM_NEWS_TOPIC", "posts")
    monkeypatch.setenv("NEWSROOM_STRINGS_TOPIC", "none")
    assert read("").inputs == {"news_topic": "posts"}
    assert read("").counts_topic == "totals"
    provision = load_settings(ProvisionSettings, "provision", ["--replication-factor", "1"])
    declared = {topic.name: topic for topic in provision.declared_topics()}
    assert set(declared) == {
        *("posts", "posts.dlq", "totals", "word-deltas", "word", "words-joined"),
        *("wordcount-stream.dlq", "join-service.dlq"),
    }
    assert declared["totals"].full_config() == {"min.insync.replicas": "1", "cleanup.policy": "compact"}
    assert provision.subject_name == "posts-value"
    assert {topic.replication_factor for topic in declared.values()} == {1}
