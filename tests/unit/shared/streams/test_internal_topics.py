"""The changelog and a group's own topics before a stream service starts, on a cluster of fakes."""

from types import SimpleNamespace

import pytest
from confluent_kafka.error import KafkaError

from newsroom import answers
from newsroom.errors import ClusterUnavailable, LastingFailure, StateLost
from newsroom.streams import cluster as requests
from newsroom.streams.internal_topics import provide
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom.waiting import StopFlag, Stopped
from unit.shared.streams.fakes import AS_KAFKA_WRITES_IT, CHANGELOG, SOURCES, FakeCluster, failed


@pytest.mark.parametrize("commits", [{}, {0: 0}], ids=["none", "reset to the beginning"])
def test_a_first_start_makes_the_changelog(fake: FakeCluster, commits: dict[int, int]) -> None:
    fake.commits = commits
    assert fake.prepared() == AS_KAFKA_WRITES_IT
    (made,) = fake.made
    assert (made.topic, made.num_partitions, made.replication_factor) == ("changelog__g--word-deltas--default", 6, 3)
    assert made.config == {"cleanup.policy": "compact", "min.insync.replicas": "2"}


def test_commits_are_read_without_joining_and_without_waiting_for_an_open_transaction(fake: FakeCluster) -> None:
    fake.prepared()
    (config,) = fake.consumers
    assert (config["group.id"], config["isolation.level"], config["closed"]) == ("g", "read_uncommitted", True)


@pytest.mark.parametrize("commits", [{}, {3: 7}], ids=["killed before the first commit", "a later start"])
def test_a_changelog_that_is_there_is_taken(fake: FakeCluster, commits: dict[int, int]) -> None:
    fake.topics.add(CHANGELOG.topic)
    fake.commits = commits
    assert fake.prepared() == AS_KAFKA_WRITES_IT
    assert fake.made == []


def test_a_changelog_that_is_gone_while_the_group_has_commits_is_a_lost_state_also_at_the_next_start(
    fake: FakeCluster,
) -> None:
    fake.commits = {3: 7}
    for _ in range(2):
        with pytest.raises(StateLost, match=r"--delete-offsets --group g --topic word-deltas$"):
            fake.prepared()
    assert fake.topics == set()
    fake.commits = {}
    assert fake.prepared() == AS_KAFKA_WRITES_IT


def test_of_two_replicas_that_start_at_once_one_makes_it_and_the_other_takes_it(fake: FakeCluster) -> None:
    def other_is_quicker() -> None:
        fake.topics.add(CHANGELOG.topic)
        fake.commits = {0: 1}

    fake.asked_for_commits = other_is_quicker
    assert fake.prepared() == AS_KAFKA_WRITES_IT
    assert fake.made == []


def test_it_waits_for_controllers_brokers_and_leaders(fake: FakeCluster) -> None:
    passing = failed(KafkaError._TIMED_OUT), failed(KafkaError.INVALID_REPLICATION_FACTOR)
    fake.failures = [*passing, TimeoutError()]
    fake.leaderless = 2
    assert fake.prepared() == AS_KAFKA_WRITES_IT


def test_what_waiting_does_not_change_is_said_at_once(fake: FakeCluster) -> None:
    fake.failures = [failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)]
    with pytest.raises(LastingFailure, match=r"may not READ topic (changelog__g\S+) and WRITE topic \1 at"):
        fake.prepared()


def test_a_cluster_that_is_silent_is_a_sentence(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (answers, requests):
        monkeypatch.setattr(module, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(answers, "ANSWER_MARGIN_SECONDS", 0.01)
    fake.seconds = 0.1
    fake.silent = True
    with pytest.raises(ClusterUnavailable, match=r"no answer within 0 s"):
        fake.prepared()


def test_a_topic_without_a_leader_is_a_sentence(fake: FakeCluster) -> None:
    fake.seconds = 0.1
    fake.leaderless = 10**9
    with pytest.raises(ClusterUnavailable, match="has no leader: are enough brokers up"):
        fake.prepared()


@pytest.mark.parametrize("leaderless", [False, True])
def test_a_stop_ends_the_waiting(fake: FakeCluster, monkeypatch: pytest.MonkeyPatch, *, leaderless: bool) -> None:
    monkeypatch.setattr(requests, "RETRY_SECONDS", 60.0)
    stop = StopFlag()
    stop.set()
    fake.topics.add(CHANGELOG.topic)
    fake.leaderless = 10**9
    fake.failures = [] if leaderless else [failed(KafkaError._TIMED_OUT)] * 10**3
    with pytest.raises(Stopped):
        fake.prepared(stop)


def test_without_a_broker_only_metadata_is_asked_for(fake: FakeCluster) -> None:
    fake.seconds = 0.2
    fake.outages = 10**9
    with pytest.raises(ClusterUnavailable, match=r"could not be looked up at .*transport failure"):
        fake.prepared()
    assert fake.questions == 0


def test_the_rights_on_a_new_changelog_are_checked(fake: FakeCluster) -> None:
    fake.allowed = {"READ"}
    with pytest.raises(LastingFailure, match="may not WRITE topic changelog__g--word-deltas--default at"):
        fake.prepared()


def test_a_group_that_may_not_be_read_is_an_event_of_the_client(
    fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> None:
        raise failed(KafkaError._TIMED_OUT)

    denied = SimpleNamespace(error=lambda: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "denied"))
    monkeypatch.setattr(fake, "committed", late)
    monkeypatch.setattr(fake, "poll", lambda _: denied, raising=False)
    with pytest.raises(LastingFailure, match="may not READ group g at"):
        fake.prepared()


def test_a_groups_own_topics_are_made_with_room_for_dead_letters(fake: FakeCluster) -> None:
    provide(fake.prepare(), ["g-word-deltas"], "g.dlq", SOURCES)
    assert [(made.topic, made.num_partitions, made.replication_factor) for made in fake.made] == [
        ("g-word-deltas", 6, 3),
        ("g.dlq", 1, 3),
    ]
    assert fake.made[1].config == {"min.insync.replicas": "2", "max.message.bytes": str(DEAD_LETTER_BYTES)}
    provide(fake.prepare(), ["g-word-deltas"], "g.dlq", SOURCES)
    assert len(fake.made) == 2
