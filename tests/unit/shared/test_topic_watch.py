"""Topics that are looked at again, on a cluster of fakes."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.error import KafkaError

from newsroom import topic_watch
from newsroom.errors import TopicMismatch
from newsroom.topic_watch import TopicWatch
from support.futures import done
from support.waiting import wait_for

GONE = KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))


class FakeAdmin:
    """Answers with the topics as they are now: name to id and number of partitions, or to an error; or not at all."""

    def __init__(self) -> None:
        self.topics: dict[str, tuple[str, int] | Exception] = {"word": ("a", 6), "news": ("b", 6)}
        self.silent = False
        self.down = False
        self.questions = 0

    def poll(self, _: float) -> None:
        """Hand on log lines."""

    def list_topics(self, _name: str, *, timeout: float) -> None:
        assert timeout <= 2
        if self.down:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def describe_topics(self, collection: Any, *, request_timeout: float) -> dict[str, Future[Any]]:  # noqa: ANN401
        assert request_timeout <= 2
        self.questions += 1
        return {name: Future() if self.silent else done(self._answer(name)) for name in collection.topic_names}

    def _answer(self, name: str) -> object:
        topic = self.topics[name]
        if isinstance(topic, Exception):
            return topic
        return SimpleNamespace(topic_id=topic[0], partitions=[None] * topic[1])


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> FakeAdmin:
    monkeypatch.setattr(topic_watch, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(topic_watch, "ANSWER_SECONDS", 0.2)
    return FakeAdmin()


def watch_of(admin: FakeAdmin) -> TopicWatch:
    watch = TopicWatch({}, ["word", "news"], fixed=["word"], client=lambda *_, **__: admin)
    watch.check()
    return watch


def test_a_topic_that_was_made_anew_is_noticed(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.topics["news"] = ("c", 6)
    with pytest.raises(TopicMismatch, match=r"topic news was deleted and made anew .* from its beginning") as raised:
        wait_for("the next look at the answer", watch.look)
    assert raised.value.fields == {"topic": "news", "recreated": True}


def test_partitions_matter_where_keys_do(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.topics["news"] = ("b", 8)
    watch.check()
    admin.topics["word"] = ("a", 8)
    with pytest.raises(TopicMismatch, match=r"word was given 8 partitions instead of 6 .* run .provision"):
        watch.check()


def test_a_topic_is_deleted_when_it_is_missing_again_and_again(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.topics["word"] = GONE
    watch.check()
    watch.check()
    with pytest.raises(TopicMismatch, match="topic word was deleted while this service ran: run 'provision'"):
        watch.check()


def test_a_topic_that_a_broker_does_not_know_for_a_moment_is_none(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    for _ in range(3):
        admin.topics["word"] = GONE
        watch.check()
        watch.check()
        admin.topics["word"] = ("a", 6)
        watch.check()


def test_without_an_answer_a_service_commits_and_does_not_ask_at_once_again(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.silent = True
    watch.check()
    questions = admin.questions
    watch.check()
    assert admin.questions == questions


def test_without_a_broker_only_metadata_is_asked_for(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.down = True
    questions = admin.questions
    watch.check()
    assert admin.questions == questions
    admin.down = False
    watch.check()  # not at once again: a service would wait at each commit
    assert admin.questions == questions


def test_an_error_says_nothing_about_a_topic(admin: FakeAdmin) -> None:
    watch = watch_of(admin)
    admin.topics["word"] = KafkaException(KafkaError(KafkaError._TRANSPORT))
    for _ in range(5):
        watch.check()
