"""Committed offsets before a stream service starts: those of earlier topics, and of another owner."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.error import KafkaError

from newsroom.errors import TopicMismatch, TopicTaken
from newsroom.streams import cluster as requests
from newsroom.streams import offsets
from newsroom.streams.claims import Claim
from newsroom.streams.offsets import forget_offsets, forget_old_topics, refuse_second_owner
from newsroom.waiting import StopFlag
from support.futures import done
from unit.shared.streams.fakes import TWO_PARTITIONS, FakeCluster, failed


def test_offsets_of_a_topic_that_was_made_anew_go_to_its_beginning(fake: FakeCluster) -> None:
    fake.commits = {0: 12, 1: 7}
    forget_offsets(fake.prepare(), "g", "news", TWO_PARTITIONS)
    assert fake.commits == {0: 0, 1: 0}


def test_offsets_that_the_cluster_does_not_reset_now_are_a_sentence(
    fake: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.failures = [failed(KafkaError.UNKNOWN_MEMBER_ID)]
    forget_offsets(fake.prepare(), "g", "news", TWO_PARTITIONS)
    assert "could not be reset" in capsys.readouterr().out


def anew(fake: FakeCluster, stop: StopFlag | None = None) -> None:
    ids = {"news": "new"}
    forget_old_topics(fake.prepare(), "g", {"news": TWO_PARTITIONS}, ids, stop or StopFlag())


@pytest.mark.parametrize(("said", "offset"), [(Claim("old", ()).text(), 0), (Claim("new", ()).text(), 12), ("", 12)])
def test_offsets_of_an_earlier_topic_of_the_same_name_go_to_its_beginning(
    fake: FakeCluster, said: str, offset: int, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.commits, fake.said = {0: 12}, {0: said}
    anew(fake)
    assert fake.commits[0] == offset
    assert ("made anew while this service did not run" in capsys.readouterr().out) == (offset == 0)


def test_an_earlier_topics_offsets_that_others_hold_are_a_sentence(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets, "RESET_SECONDS", 0.0)
    fake.commits, fake.said = {0: 12}, {0: Claim("old", ()).text()}

    def refuse(*_: object, **__: object) -> dict[str, Future[Any]]:
        return {"g": done(failed(KafkaError.UNKNOWN_MEMBER_ID))}

    monkeypatch.setattr(fake, "alter_consumer_group_offsets", refuse)
    with pytest.raises(TopicMismatch, match=r"could not be set to their beginning: news .*stop all its replicas"):
        anew(fake)


OTHERS = {"changelog__other--word-deltas--default", "changelog__a--b--word-deltas--default", "word-deltas", "news"}


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (Claim("id", ("word-counts", "other-deltas")).text(), True),
        (Claim("id", ("others",)).text(), False),
        ("", True),
        (None, False),
    ],
    ids=["its commits say so", "it writes elsewhere", "of an earlier version", "without commits"],
)
def test_a_second_owner_of_an_output_is_refused(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, said: str | None, *, refused: bool
) -> None:
    def committed(partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 5
        assert {partition.topic for partition in partitions} == {"word-deltas", "news"}
        return [] if said is None else [TopicPartition("news", 0, 1, said)]

    topics = dict.fromkeys({*OTHERS, "changelog__g--word-deltas--default"}, TWO_PARTITIONS)
    monkeypatch.setattr(fake, "list_topics", lambda *_, **__: SimpleNamespace(topics=topics))
    monkeypatch.setattr(fake, "committed", committed)
    if refused:
        with pytest.raises(TopicTaken, match=r"^consumer group a--b writes word-counts, so group g must not"):
            refuse_second_owner(fake.prepare(), "g", ("word-counts", "word-deltas-of-g"))
    else:
        refuse_second_owner(fake.prepare(), "g", ("word-counts", "word-deltas-of-g"))
    asked = {config["group.id"] for config in fake.consumers}
    assert asked == {"other", "a--b"}


def test_a_group_that_may_not_be_read_is_asked_once(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def late(_: object, timeout: float) -> None:
        asked.append(timeout)
        raise failed(KafkaError._TIMED_OUT)

    denied = SimpleNamespace(error=lambda: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "denied"))
    monkeypatch.setattr(fake, "committed", late)
    monkeypatch.setattr(fake, "poll", lambda _: denied, raising=False)
    topics = dict.fromkeys(OTHERS - {"changelog__a--b--word-deltas--default"}, TWO_PARTITIONS)
    monkeypatch.setattr(fake, "list_topics", lambda *_, **__: SimpleNamespace(topics=topics))
    prepared = fake.prepare()
    for _ in range(2):
        refuse_second_owner(prepared, "g", ("word-counts",))
    assert asked == [requests.OTHER_SECONDS]
