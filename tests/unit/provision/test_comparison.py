"""What provision finds wrong, in sentences."""

from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from newsroom.errors import ClusterUnavailable, NewsroomError, RegistryUnavailable, SettingsError, TopicMismatch
from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings, load_settings
from newsroom.topics import ALL_TOPICS, WORD_COUNTS, DeclaredTopic
from newsroom.waiting import Deadline, StopFlag, Stopped, Wait
from provision.cluster import Cluster
from provision.comparison import PartitionState, differences, refuse_differences, summary, unsettled
from provision.main import provide_topics, serve
from provision.settings import ProvisionSettings
from provision.subjects import set_up, wait_for_registry
from support.futures import done
from support.schemas import NEWS_SCHEMA, memory_registry
from support.web import NOBODY


def partitions_of(partitions: int, replicas: tuple[int, ...] = (1, 2, 3)) -> list[PartitionState]:
    return [PartitionState(number, 1, replicas, replicas) for number in range(partitions)]


def test_a_topic_as_declared_has_no_differences_whatever_else_is_configured() -> None:
    config = {**WORD_COUNTS.full_config(), "retention.ms": "604800000"}
    assert differences(WORD_COUNTS, partitions_of(6), config) == []


def test_every_difference_is_named() -> None:
    config = {"min.insync.replicas": "1", "cleanup.policy": "delete"}
    assert differences(WORD_COUNTS, partitions_of(3, (1,)), config) == [
        "word-counts has 3 partitions, declared 6",
        "word-counts has replication factor 1, declared 3",
        "word-counts has min.insync.replicas=1, declared 2",
        "word-counts has cleanup.policy=delete, declared compact",
    ]


def test_one_partition_with_another_replication_factor_is_a_difference() -> None:
    partitions = [*partitions_of(5), PartitionState(5, 1, (1, 2), (1, 2))]
    assert differences(DeclaredTopic("news", 6), partitions, {"min.insync.replicas": "2"}) == [
        "news has replication factor 2, declared 3"
    ]


def test_the_refusal_names_all_differences_and_what_to_do() -> None:
    topics = [DeclaredTopic("news", 6), DeclaredTopic("word", 6)]
    configs = {topic.name: topic.full_config() for topic in topics}
    with pytest.raises(TopicMismatch, match=r"news has 3.*; word has 1.*provision again"):
        refuse_differences(topics, {"news": partitions_of(3), "word": partitions_of(1)}, configs)
    refuse_differences(topics, {"news": partitions_of(6), "word": partitions_of(6)}, configs)


class FakeCluster:
    """A cluster that creates topics as declared; `partitions` are those of the topics that exist."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self.partitions = partitions
        self.new: list[str] = []
        self.waits: list[int] = []
        """The numbers of brokers that were waited for."""

    def wait_for_brokers(self, number: int) -> None:
        self.waits.append(number)

    def topics(self) -> dict[str, list[PartitionState]]:
        return {name: partitions_of(number) for name, number in self.partitions.items()}

    def configs(self, names: list[str]) -> dict[str, dict[str, str]]:
        assert set(names) <= self.partitions.keys()
        return {topic.name: topic.full_config() for topic in ALL_TOPICS if topic.name in names}

    def create(self, topics: list[DeclaredTopic]) -> None:
        self.new = [topic.name for topic in topics]
        self.partitions |= {topic.name: topic.partitions for topic in topics}

    def wait_in_sync(self, names: list[str], *, new: bool) -> dict[str, list[PartitionState]]:
        assert set(names) == self.partitions.keys()
        assert new == bool(self.new)
        return self.topics()


def test_only_missing_topics_are_created_and_none_in_a_cluster_that_is_refused() -> None:
    cluster = FakeCluster({topic.name: topic.partitions for topic in ALL_TOPICS[2:]})
    provide_topics(cast("Cluster", cluster), 3, ALL_TOPICS)
    assert cluster.new == [topic.name for topic in ALL_TOPICS[:2]]
    assert cluster.waits == [1, 3]
    again = FakeCluster(cluster.partitions)
    provide_topics(cast("Cluster", again), 3, ALL_TOPICS)
    assert again.new == []
    assert again.waits == [1], "one lost broker does not matter when there is nothing to create"
    other = FakeCluster({"news": 1})
    with pytest.raises(TopicMismatch, match="news has 1 partitions, declared 6"):
        provide_topics(cast("Cluster", other), 3, ALL_TOPICS)
    assert other.new == []


def test_a_replica_out_of_sync_or_a_missing_leader_is_unsettled() -> None:
    partitions = [
        *partitions_of(1),
        PartitionState(1, 1, (1, 2, 3), (3, 1)),
        PartitionState(2, -1, (1, 2, 3), (1, 2, 3)),
    ]
    assert unsettled({"news": partitions}) == [
        "news partition 1 (2 of 3 replicas in sync)",
        "news partition 2 (3 of 3 replicas in sync, no leader)",
    ]
    assert unsettled({"news": partitions}, replicas=2) == ["news partition 2 (3 of 3 replicas in sync, no leader)"]
    assert unsettled({"news": partitions_of(6)}) == []


def test_the_line_of_a_topic() -> None:
    line = "topic mytopic: 5 partitions, replication 3, in sync"
    assert summary(ALL_TOPICS[0].name, partitions_of(5), created=True) == f"{line} (created)"
    assert summary(ALL_TOPICS[0].name, partitions_of(5), created=False) == f"{line} (exists)"
    partitions = [*partitions_of(4), PartitionState(4, 1, (1, 2, 3), (1, 2))]
    assert summary(ALL_TOPICS[0].name, partitions, created=False).endswith("replication 3, 2 in sync (exists)")


def test_options() -> None:
    settings = load_settings(ProvisionSettings, "provision", ["--schema", "x.avsc", "--no-registry", "--brokers", "1"])
    assert (settings.schema_path, settings.registry, settings.brokers) == (Path("x.avsc"), False, 1)


def test_a_missing_schema_file_is_said_before_any_wait() -> None:
    settings = ProvisionSettings(bootstrap_servers=NOBODY, schema_path=Path("/nowhere.avsc"))
    with pytest.raises(SettingsError, match=r"/nowhere\.avsc cannot be read"):
        serve(settings, StopFlag())


def test_a_cluster_that_does_not_answer_ends_at_the_deadline_with_its_address() -> None:
    cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(0.1)))
    with pytest.raises(ClusterUnavailable, match=rf"{NOBODY} is not ready after 0\.1 s: no broker answers"):
        cluster.wait_for_brokers(3)


def test_a_signal_ends_the_wait() -> None:
    stop = StopFlag()
    stop.set()
    cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(0.5), stop))
    with pytest.raises(Stopped, match="no broker answers"):
        cluster.wait_for_brokers(3)


def test_topics_in_sync_are_those_of_the_last_answer() -> None:
    cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(5)))
    answers: list[dict[str, Any]] = [{}, {"news": tuple(partitions_of(6))}]
    cluster.topics = lambda: answers.pop(0)  # type: ignore[method-assign]
    assert set(cluster.wait_in_sync(["news"], new=False)) == {"news"}
    assert answers == []


@pytest.mark.parametrize(("new", "in_sync"), [(False, (1, 2)), (True, (1, 2)), (False, (1,))])
def test_a_broker_that_does_not_come_back_stops_only_new_topics_and_topics_without_enough_replicas(
    monkeypatch: pytest.MonkeyPatch, new: bool, in_sync: tuple[int, ...]
) -> None:
    monkeypatch.setattr("provision.cluster.PATIENCE_SECONDS", 0.0)
    cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(0.2)))
    topics: dict[str, tuple[PartitionState, ...]] = {"news": (PartitionState(0, 1, (1, 2, 3), in_sync),)}
    cluster.topics = lambda: topics  # type: ignore[method-assign]
    if in_sync == (1, 2) and not new:
        assert cluster.wait_in_sync(["news"], new=new) == topics
    else:
        with pytest.raises(ClusterUnavailable, match=rf"news partition 0 \({len(in_sync)} of 3 replicas in sync\)"):
            cluster.wait_in_sync(["news"], new=new)


def test_the_last_replica_of_a_topic_gets_some_seconds() -> None:
    cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(5)))
    answers = [(PartitionState(0, 1, (1, 2, 3), in_sync),) for in_sync in ((1, 2), (1, 2, 3))]
    cluster.topics = lambda: {"news": answers.pop(0)}  # type: ignore[method-assign]
    assert cluster.wait_in_sync(["news"], new=False)["news"][0].in_sync_replicas == 3


class FakeAdmin:
    """An admin client that gives these answers, error codes among them; when they are used up, it creates topics."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:  # noqa: ANN401
        monkeypatch.setattr("provision.cluster.AdminClient", lambda *_, **__: self)
        self.answers = list(answers)
        self.cluster = Cluster({"bootstrap.servers": NOBODY}, Wait(Deadline(5)))

    def list_topics(self, **_: object) -> object:
        return SimpleNamespace(brokers={})

    def create_topics(self, resources: list[Any], **_: object) -> dict[str, Future[Any]]:
        return {resources[0].topic: self._answer()}

    def describe_configs(self, resources: list[Any], **_: object) -> dict[Any, Future[Any]]:
        return {resources[0]: self._answer()}

    def _answer(self) -> Future[Any]:
        answer = self.answers.pop(0) if self.answers else None
        return done(KafkaException(KafkaError(answer)) if isinstance(answer, int) else answer)


def test_a_broker_that_has_not_heard_of_a_new_topic_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {"retention.ms": SimpleNamespace(value="1")}
    admin = FakeAdmin(monkeypatch, KafkaError.UNKNOWN_TOPIC_OR_PART, entries)
    assert admin.cluster.configs(["news"]) == {"news": {"retention.ms": "1"}}
    assert admin.answers == []


def test_a_controller_that_moves_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = (KafkaError.NOT_CONTROLLER, KafkaError._TRANSPORT, KafkaError.TOPIC_ALREADY_EXISTS)
    admin = FakeAdmin(monkeypatch, *passing)
    admin.cluster.create([WORD_COUNTS])
    assert admin.answers == []


def test_a_topic_that_is_refused_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = FakeAdmin(monkeypatch, KafkaError.POLICY_VIOLATION, KafkaError.POLICY_VIOLATION)
    with pytest.raises(NewsroomError, match=f"topic word-counts cannot be created at {NOBODY}: .*; correct the cause"):
        admin.cluster.create([WORD_COUNTS])
    assert len(admin.answers) == 1


def test_a_registry_that_does_not_answer_ends_at_the_deadline() -> None:
    address = f"http://{NOBODY}"
    registry = registry_client(KafkaSettings(registry_url=address))
    with pytest.raises(RegistryUnavailable, match=f"the schema registry at {address} is not there after 0 s"):
        wait_for_registry(registry, address, Wait(Deadline(0)))


def test_the_schema_is_registered_with_backward_compatibility_and_keeps_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = memory_registry()
    wait_for_registry(registry, "mock", Wait(Deadline(1)))
    levels: list[str] = []
    # The in-memory registry knows no levels.
    monkeypatch.setattr(registry, "set_compatibility", lambda *, level: levels.append(level))
    first = set_up(registry, "news-value", NEWS_SCHEMA)
    assert set_up(registry, "news-value", NEWS_SCHEMA) == first
    assert levels == ["BACKWARD", "BACKWARD"]
    assert registry.get_latest_version("news-value").schema_id == first
