"""When the producer looks at in-sync replicas, and what it says."""

import threading

import pytest

from news_producer.in_sync import InSyncWatch, shortage
from support.waiting import wait_for


def test_a_stall_is_looked_at_said_and_forgotten_when_records_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("news_producer.in_sync.STALL_SECONDS", 0.0)
    looks = threading.Event()

    def look(_: InSyncWatch) -> str:
        looks.set()
        return "too few"

    monkeypatch.setattr(InSyncWatch, "_look", look)
    watch = InSyncWatch({"acks": "all"}, "t")
    watch.note(0, 5)

    def said() -> str:
        watch.note(0, 5)
        return watch.problem

    assert wait_for("the sentence", said, 10) == "too few"
    assert looks.is_set()
    monkeypatch.setattr("news_producer.in_sync.STALL_SECONDS", 60.0)
    watch.note(1, 4)
    assert watch.problem == ""


def test_without_acks_of_all_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("news_producer.in_sync.STALL_SECONDS", 0.0)
    monkeypatch.setattr(InSyncWatch, "_look", lambda _: pytest.fail("it looked"))
    watch = InSyncWatch({"acks": "1"}, "t")
    for _ in range(3):
        watch.note(0, 5)
    assert watch._answer is None


def test_the_sentence_names_the_partitions_and_the_setting() -> None:
    assert shortage("t", {}, 2) == ""
    assert shortage("t", {0: 1, 4: 0}, 2) == (
        "NOT_ENOUGH_REPLICAS: the brokers refuse records for topic t partition 0 (1 in sync), 4 (0 in sync), because "
        "min.insync.replicas=2: start the brokers that are down"
    )
