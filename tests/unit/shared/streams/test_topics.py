"""The inputs and outputs before a stream service starts, and its rights on them, on a cluster of fakes."""

from types import SimpleNamespace

import pytest
from confluent_kafka.error import KafkaError

from newsroom.errors import LastingFailure
from newsroom.streams.cluster import patience
from newsroom.streams.topics import await_topics, denied_topics
from newsroom.waiting import StopFlag
from unit.shared.streams.fakes import CHANGELOG, FakeCluster, failed


def test_an_input_that_is_just_being_created_is_waited_for(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    creating = SimpleNamespace(partitions={}, error=None)
    answers = [creating, creating, SimpleNamespace(partitions={0: object()})]
    monkeypatch.setattr(
        fake,
        "list_topics",
        lambda *_, **__: SimpleNamespace(brokers={}, topics={"news": answers.pop(0)}),
        raising=False,
    )
    assert await_topics(fake.settings, fake.access, ["news"], patience(60, StopFlag()))["news"].partitions


def test_an_input_that_is_invisible_may_be_one_that_this_user_may_not_see(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = SimpleNamespace(partitions={}, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    def list_topics(name: str | None = None, **_: object) -> object:
        # A broker leaves out what the user may not describe, unless it is asked for by its name.
        return SimpleNamespace(brokers={}, topics={name: denied} if name else {})

    monkeypatch.setattr(fake, "list_topics", list_topics, raising=False)
    with pytest.raises(LastingFailure, match=r"may not READ topic news at .*add an ACL"):
        await_topics(fake.settings, fake.access, ["news"], patience(60, StopFlag()))


def visible(_name: str | None = None, **_: object) -> object:
    topic = SimpleNamespace(partitions={0: object()}, error=None)
    return SimpleNamespace(brokers={}, topics={"news": topic, "word-counts": topic})


@pytest.mark.parametrize(
    ("allowed", "name", "sentence"),
    [
        (
            {"READ", "DESCRIBE"},
            "word-counts",
            r"may not WRITE topic word-counts at .*: add an ACL that allows",
        ),
        ({"WRITE", "DESCRIBE"}, "news", r"may not READ topic news at "),
    ],
)
def test_a_right_that_is_missing_is_said_before_the_first_record(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, allowed: set[str], name: str, sentence: str
) -> None:
    monkeypatch.setattr(fake, "list_topics", visible, raising=False)
    fake.allowed = allowed
    with pytest.raises(LastingFailure, match=sentence):
        await_topics(fake.settings, fake.access, [name], patience(60, StopFlag()))


def test_after_a_denial_the_broker_is_asked_for_the_topic(fake: FakeCluster) -> None:
    assert denied_topics(fake.settings, fake.access) is None
    fake.allowed = {"READ"}
    assert f"may not WRITE topic {CHANGELOG.topic} and WRITE topic word-counts at" in str(
        denied_topics(fake.settings, fake.access)
    )
    fake.failures = [failed(KafkaError._TIMED_OUT)]
    assert denied_topics(fake.settings, fake.access) is None


def test_a_broker_that_does_not_tell_rights_is_believed(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "list_topics", visible, raising=False)
    fake.allowed = set()
    assert await_topics(fake.settings, fake.access, ["word-counts"], patience(60, StopFlag()))
