"""The changelog before a stream service starts, on a cluster of fakes."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaException, TopicPartition, Uuid
from confluent_kafka.admin import AclOperation
from confluent_kafka.error import KafkaError

from newsroom.access import Access, Right
from newsroom.errors import ClusterUnavailable, LastingFailure, StateLost, TopicMismatch, TopicTaken
from newsroom.streams import cluster as stream_topics
from newsroom.streams import offsets
from newsroom.streams import topics as waiting_topics
from newsroom.streams.changelog import Changelog
from newsroom.streams.claims import Claim
from newsroom.streams.cluster import Cluster
from newsroom.streams.internal_topics import prepare_changelog, provide
from newsroom.streams.offsets import forget_offsets, forget_old_topics, refuse_second_owner
from newsroom.streams.settings import StreamSettings
from newsroom.streams.topics import await_topics, denied_topics
from newsroom.topics import DEAD_LETTER_BYTES
from newsroom.waiting import StopFlag, Stopped
from support.futures import done

SOURCES = {
    "word-deltas": SimpleNamespace(partitions={number: SimpleNamespace(replicas=[1, 2, 3]) for number in range(6)})
}
TWO_PARTITIONS = SimpleNamespace(partitions={0: None, 1: None})
CHANGELOG = Changelog("g", ("word-deltas",))
RIGHTS = (
    *(Right("READ", "topic", name) for name in ("news", CHANGELOG.topic)),
    *(Right("WRITE", "topic", name) for name in ("word-counts", CHANGELOG.topic)),
    Right("READ", "group", "g"),
)
WITH_SLASHES = Uuid(-1, -1)  # in base64 all its characters are '/'
AS_KAFKA_WRITES_IT = "_" * 21 + "w"


def failed(code: int) -> KafkaException:
    return KafkaException(KafkaError(code))


class FakeCluster:
    """AdminClient and Consumer of one cluster, which knows some topics and commits."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.access = Access(settings.client_config("g"), *RIGHTS)
        self.allowed = {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
        self.topics: set[str] = set()
        self.commits: dict[int, int] = {}
        self.leaderless = 0
        self.failures: list[Exception] = []
        self.silent = False
        self.outages = 0
        """How many of the next requests for metadata fail."""
        self.questions = 0
        """How many other requests were made of the cluster."""
        self.made: list[Any] = []
        self.said: dict[int, str] = {}
        """The metadata of the commits."""
        self.asked_for_commits: Callable[[], None] = lambda: None
        self.consumers: list[dict[str, Any]] = []

    def prepared(self, stop: StopFlag | None = None) -> str:
        """The id of the changelog, which is there now."""
        return prepare_changelog(self.prepare(stop), CHANGELOG, SOURCES)

    def prepare(self, stop: StopFlag | None = None) -> Cluster:
        """The requests that a service makes of it."""
        return Cluster(self.settings, self.access, stop or StopFlag())

    def list_topics(self, name: str = "", *, timeout: float) -> object:
        assert timeout <= 5
        self.outages -= 1
        if self.outages >= 0:
            raise failed(KafkaError._TRANSPORT)
        return SimpleNamespace(brokers={}, topics={name: SimpleNamespace(partitions={0: None, 1: None})})

    def poll(self, _: float) -> None:
        """Hand on log lines."""

    def _answer(self, answer: Callable[[], object]) -> Future[Any]:
        self.questions += 1
        if self.silent:
            return Future()
        if self.failures:
            return done(self.failures.pop(0))
        try:
            return done(answer())
        except KafkaException as error:
            return done(error)

    def describe_topics(
        self,
        collection: Any,  # noqa: ANN401
        *,
        request_timeout: float,
        include_authorized_operations: bool = False,
    ) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        operations = [AclOperation[name] for name in self.allowed]
        if include_authorized_operations:
            told = SimpleNamespace(authorized_operations=operations or None)
            return {name: self._answer(lambda: told) for name in collection.topic_names}
        (name,) = collection.topic_names

        def answer() -> object:
            if name not in self.topics:
                raise failed(KafkaError.UNKNOWN_TOPIC_OR_PART)
            self.leaderless -= 1
            leader = None if self.leaderless >= 0 else SimpleNamespace(id=1)
            return SimpleNamespace(topic_id=WITH_SLASHES, partitions=[SimpleNamespace(leader=leader)])

        return {name: self._answer(answer)}

    def create_topics(
        self, topics: list[Any], *, request_timeout: float, validate_only: bool = False
    ) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        (topic,) = topics

        def answer() -> None:
            if topic.topic in self.topics:
                raise failed(KafkaError.TOPIC_ALREADY_EXISTS)
            if not validate_only:
                self.topics.add(topic.topic)
                self.made.append(topic)

        return {topic.topic: self._answer(answer)}

    def consumer(self, config: dict[str, Any], **_: object) -> Any:  # noqa: ANN401
        self.consumers.append(config)
        return self

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 5
        self.asked_for_commits()
        return [
            TopicPartition(
                partition.topic,
                partition.partition,
                self.commits.get(partition.partition, OFFSET_INVALID),
                self.said.get(partition.partition, ""),
            )
            for partition in partitions
        ]

    def close(self) -> None:
        self.consumers[-1]["closed"] = True

    def alter_consumer_group_offsets(self, requests: list[Any], *, request_timeout: float) -> dict[str, Future[Any]]:
        assert request_timeout <= 5
        (request,) = requests
        return {request.group_id: self._answer(lambda: self._altered(request))}

    def _altered(self, request: Any) -> Any:  # noqa: ANN401
        self.commits |= {part.partition: part.offset for part in request.topic_partitions}
        self.said.clear()
        return request


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    cluster = FakeCluster(StreamSettings(consumer_group="g", state_dir=tmp_path))
    for module in (stream_topics, waiting_topics):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(stream_topics, "AdminClient", lambda _, **__: cluster)
    monkeypatch.setattr(stream_topics, "Consumer", cluster.consumer)
    return cluster


@pytest.mark.parametrize("commits", [{}, {0: 0}], ids=["none", "reset to the beginning"])
def test_a_first_start_makes_the_changelog(cluster: FakeCluster, commits: dict[int, int]) -> None:
    cluster.commits = commits
    assert cluster.prepared() == AS_KAFKA_WRITES_IT
    (made,) = cluster.made
    assert (made.topic, made.num_partitions, made.replication_factor) == ("changelog__g--word-deltas--default", 6, 3)
    assert made.config == {"cleanup.policy": "compact", "min.insync.replicas": "2"}


def test_commits_are_read_without_joining_and_without_waiting_for_an_open_transaction(cluster: FakeCluster) -> None:
    cluster.prepared()
    (config,) = cluster.consumers
    assert (config["group.id"], config["isolation.level"], config["closed"]) == ("g", "read_uncommitted", True)


@pytest.mark.parametrize("commits", [{}, {3: 7}], ids=["killed before the first commit", "a later start"])
def test_a_changelog_that_is_there_is_taken(cluster: FakeCluster, commits: dict[int, int]) -> None:
    cluster.topics.add(CHANGELOG.topic)
    cluster.commits = commits
    assert cluster.prepared() == AS_KAFKA_WRITES_IT
    assert cluster.made == []


def test_a_changelog_that_is_gone_while_the_group_has_commits_is_a_lost_state_also_at_the_next_start(
    cluster: FakeCluster,
) -> None:
    cluster.commits = {3: 7}
    for _ in range(2):
        with pytest.raises(StateLost, match=r"--delete-offsets --group g --topic word-deltas$"):
            cluster.prepared()
    assert cluster.topics == set()
    cluster.commits = {}
    assert cluster.prepared() == AS_KAFKA_WRITES_IT


def test_of_two_replicas_that_start_at_once_one_makes_it_and_the_other_takes_it(cluster: FakeCluster) -> None:
    def other_is_quicker() -> None:
        cluster.topics.add(CHANGELOG.topic)
        cluster.commits = {0: 1}

    cluster.asked_for_commits = other_is_quicker
    assert cluster.prepared() == AS_KAFKA_WRITES_IT
    assert cluster.made == []


def test_it_waits_for_controllers_brokers_and_leaders(cluster: FakeCluster) -> None:
    passing = failed(KafkaError._TIMED_OUT), failed(KafkaError.INVALID_REPLICATION_FACTOR)
    cluster.failures = [*passing, TimeoutError()]
    cluster.leaderless = 2
    assert cluster.prepared() == AS_KAFKA_WRITES_IT


def test_what_waiting_does_not_change_is_said_at_once(cluster: FakeCluster) -> None:
    cluster.failures = [failed(KafkaError.TOPIC_AUTHORIZATION_FAILED)]
    with pytest.raises(LastingFailure, match=r"may not READ topic (changelog__g\S+) and WRITE topic \1 at"):
        cluster.prepared()


def test_a_cluster_that_is_silent_is_a_sentence(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_topics, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(stream_topics, "ANSWER_MARGIN_SECONDS", 0.01)
    monkeypatch.setattr(stream_topics, "CLUSTER_WAIT_SECONDS", 0.1)
    cluster.silent = True
    with pytest.raises(ClusterUnavailable, match=r"no answer within 0 s"):
        cluster.prepared()


def test_a_topic_without_a_leader_is_a_sentence(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_topics, "CLUSTER_WAIT_SECONDS", 0.1)
    cluster.leaderless = 10**9
    with pytest.raises(ClusterUnavailable, match="has no leader: are enough brokers up"):
        cluster.prepared()


@pytest.mark.parametrize("leaderless", [False, True])
def test_a_stop_ends_the_waiting(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, *, leaderless: bool) -> None:
    monkeypatch.setattr(stream_topics, "RETRY_SECONDS", 60.0)
    stop = StopFlag()
    stop.set()
    cluster.topics.add(CHANGELOG.topic)
    cluster.leaderless = 10**9
    cluster.failures = [] if leaderless else [failed(KafkaError._TIMED_OUT)] * 10**3
    with pytest.raises(Stopped):
        cluster.prepared(stop)


def test_without_a_broker_only_metadata_is_asked_for(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_topics, "CLUSTER_WAIT_SECONDS", 0.2)
    cluster.outages = 10**9
    with pytest.raises(ClusterUnavailable, match=r"could not be looked up at .*transport failure"):
        cluster.prepared()
    assert cluster.questions == 0


def test_an_input_that_is_just_being_created_is_waited_for(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    creating = SimpleNamespace(partitions={}, error=None)
    answers = [creating, creating, SimpleNamespace(partitions={0: object()})]
    monkeypatch.setattr(
        cluster,
        "list_topics",
        lambda *_, **__: SimpleNamespace(brokers={}, topics={"news": answers.pop(0)}),
        raising=False,
    )
    assert await_topics(cluster.settings, cluster.access, ["news"], StopFlag())["news"].partitions


def test_an_input_that_is_invisible_may_be_one_that_this_user_may_not_see(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = SimpleNamespace(partitions={}, error=KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    def list_topics(name: str | None = None, **_: object) -> object:
        # A broker leaves out what the user may not describe, unless it is asked for by its name.
        return SimpleNamespace(brokers={}, topics={name: denied} if name else {})

    monkeypatch.setattr(cluster, "list_topics", list_topics, raising=False)
    with pytest.raises(LastingFailure, match=r"may not READ topic news at .*add an ACL"):
        await_topics(cluster.settings, cluster.access, ["news"], StopFlag())


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
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, allowed: set[str], name: str, sentence: str
) -> None:
    monkeypatch.setattr(cluster, "list_topics", visible, raising=False)
    cluster.allowed = allowed
    with pytest.raises(LastingFailure, match=sentence):
        await_topics(cluster.settings, cluster.access, [name], StopFlag())


def test_after_a_denial_the_broker_is_asked_for_the_topic(cluster: FakeCluster) -> None:
    assert denied_topics(cluster.settings, cluster.access) is None
    cluster.allowed = {"READ"}
    assert f"may not WRITE topic {CHANGELOG.topic} and WRITE topic word-counts at" in str(
        denied_topics(cluster.settings, cluster.access)
    )
    cluster.failures = [failed(KafkaError._TIMED_OUT)]
    assert denied_topics(cluster.settings, cluster.access) is None


def test_a_broker_that_does_not_tell_rights_is_believed(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "list_topics", visible, raising=False)
    cluster.allowed = set()
    assert await_topics(cluster.settings, cluster.access, ["word-counts"], StopFlag())


def test_the_rights_on_a_new_changelog_are_checked(cluster: FakeCluster) -> None:
    cluster.allowed = {"READ"}
    with pytest.raises(LastingFailure, match="may not WRITE topic changelog__g--word-deltas--default at"):
        cluster.prepared()


def test_a_group_that_may_not_be_read_is_an_event_of_the_client(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: object, **__: object) -> None:
        raise failed(KafkaError._TIMED_OUT)

    denied = SimpleNamespace(error=lambda: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "denied"))
    monkeypatch.setattr(cluster, "committed", late)
    monkeypatch.setattr(cluster, "poll", lambda _: denied, raising=False)
    with pytest.raises(LastingFailure, match="may not READ group g at"):
        cluster.prepared()


def test_offsets_of_a_topic_that_was_made_anew_go_to_its_beginning(cluster: FakeCluster) -> None:
    cluster.commits = {0: 12, 1: 7}
    forget_offsets(cluster.prepare(), "g", "news", TWO_PARTITIONS)
    assert cluster.commits == {0: 0, 1: 0}


def test_offsets_that_the_cluster_does_not_reset_now_are_a_sentence(
    cluster: FakeCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.failures = [failed(KafkaError.UNKNOWN_MEMBER_ID)]
    forget_offsets(cluster.prepare(), "g", "news", TWO_PARTITIONS)
    assert "could not be reset" in capsys.readouterr().out


def anew(cluster: FakeCluster, stop: StopFlag | None = None) -> None:
    ids = {"news": "new"}
    forget_old_topics(cluster.prepare(), "g", {"news": TWO_PARTITIONS}, ids, stop or StopFlag())


@pytest.mark.parametrize(("said", "offset"), [(Claim("old", ()).text(), 0), (Claim("new", ()).text(), 12), ("", 12)])
def test_offsets_of_an_earlier_topic_of_the_same_name_go_to_its_beginning(
    cluster: FakeCluster, said: str, offset: int, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.commits, cluster.said = {0: 12}, {0: said}
    anew(cluster)
    assert cluster.commits[0] == offset
    assert ("made anew while this service did not run" in capsys.readouterr().out) == (offset == 0)


def test_an_earlier_topics_offsets_that_others_hold_are_a_sentence(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offsets, "RESET_SECONDS", 0.0)
    cluster.commits, cluster.said = {0: 12}, {0: Claim("old", ()).text()}

    def refuse(*_: object, **__: object) -> dict[str, Future[Any]]:
        return {"g": done(failed(KafkaError.UNKNOWN_MEMBER_ID))}

    monkeypatch.setattr(cluster, "alter_consumer_group_offsets", refuse)
    with pytest.raises(TopicMismatch, match=r"could not be set to their beginning: news .*stop all its replicas"):
        anew(cluster)


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
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, said: str | None, *, refused: bool
) -> None:
    def committed(partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 5
        assert {partition.topic for partition in partitions} == {"word-deltas", "news"}
        return [] if said is None else [TopicPartition("news", 0, 1, said)]

    topics = dict.fromkeys({*OTHERS, "changelog__g--word-deltas--default"}, TWO_PARTITIONS)
    monkeypatch.setattr(cluster, "list_topics", lambda *_, **__: SimpleNamespace(topics=topics))
    monkeypatch.setattr(cluster, "committed", committed)
    if refused:
        with pytest.raises(TopicTaken, match=r"^consumer group a--b writes word-counts, so group g must not"):
            refuse_second_owner(cluster.prepare(), "g", ("word-counts", "word-deltas-of-g"))
    else:
        refuse_second_owner(cluster.prepare(), "g", ("word-counts", "word-deltas-of-g"))
    asked = {config["group.id"] for config in cluster.consumers}
    assert asked == {"other", "a--b"}


def test_a_group_that_may_not_be_read_is_asked_once(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def late(_: object, timeout: float) -> None:
        asked.append(timeout)
        raise failed(KafkaError._TIMED_OUT)

    denied = SimpleNamespace(error=lambda: KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED, "denied"))
    monkeypatch.setattr(cluster, "committed", late)
    monkeypatch.setattr(cluster, "poll", lambda _: denied, raising=False)
    topics = dict.fromkeys(OTHERS - {"changelog__a--b--word-deltas--default"}, TWO_PARTITIONS)
    monkeypatch.setattr(cluster, "list_topics", lambda *_, **__: SimpleNamespace(topics=topics))
    prepared = cluster.prepare()
    for _ in range(2):
        refuse_second_owner(prepared, "g", ("word-counts",))
    assert asked == [stream_topics.OTHER_SECONDS]


def test_a_groups_own_topics_are_made_with_room_for_dead_letters(cluster: FakeCluster) -> None:
    provide(cluster.prepare(), ["g-word-deltas"], "g.dlq", SOURCES)
    assert [(made.topic, made.num_partitions, made.replication_factor) for made in cluster.made] == [
        ("g-word-deltas", 6, 3),
        ("g.dlq", 1, 3),
    ]
    assert cluster.made[1].config == {"min.insync.replicas": "2", "max.message.bytes": str(DEAD_LETTER_BYTES)}
    provide(cluster.prepare(), ["g-word-deltas"], "g.dlq", SOURCES)
    assert len(cluster.made) == 2
