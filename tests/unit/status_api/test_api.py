import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from newsroom.health import Health
from status_api.app import create_app
from status_api.model import Broker, Group, GroupPartition, Move, Rebalance
from status_api.page import MOST_GROUPS, shown_groups
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from unit.status_api.fakes import Site, a_snapshot

PATHS = [
    *("cluster", "brokers", "topics", "topics/news", "groups", "groups/avro-consumer", "groups/avro-consumer/lag"),
    *("pipeline", "words", "joins"),
]


@pytest.mark.parametrize("path", PATHS)
def test_every_body_names_its_snapshot_and_age(live_site: Site, path: str) -> None:
    live_site.clock.now += 1.5
    body = live_site.json(f"/api/v1/{path}")
    assert (body["snapshot_id"], body["collected_at"]) == ("boot-1", "2026-01-02T03:04:05Z")
    assert (body["age_seconds"], body["stale"]) == (1.5, False)


@pytest.mark.parametrize("path", [*(f"/api/v1/{path}" for path in PATHS), "/", "/live"])
def test_a_known_snapshot_is_304_until_it_changes_or_goes_stale(live_site: Site, path: str) -> None:
    tag = live_site.client.get(path).headers["ETag"]
    assert live_site.client.get(path, headers={"If-None-Match": tag}).status_code == 304
    live_site.clock.now += 60
    stale = live_site.client.get(path, headers={"If-None-Match": tag})
    assert stale.status_code == 200
    live_site.store.succeeded(a_snapshot(2))
    assert live_site.client.get(path, headers={"If-None-Match": tag}).status_code == 200
    new = live_site.client.get(path).headers["ETag"]
    assert new.startswith('W/"boot-2-')
    live_site.store.failed("no broker answered")
    told = live_site.client.get(path, headers={"If-None-Match": new})
    assert (told.status_code, "no broker answered" in told.text) == (200, True)


@pytest.mark.parametrize("path", [*(f"/api/v1/{path}" for path in PATHS), "/", "/live", "/metrics"])
def test_a_second_request_for_a_snapshot_renders_nothing_anew(live_site: Site, path: str) -> None:
    live_site.client.get(path)
    renderings = live_site.app.extensions["renderings"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(renderings, "get", no_rendering(renderings.get))
        assert live_site.client.get(path).status_code == 200
    tag = live_site.client.get(path).headers.get("ETag")
    if tag:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(renderings, "get", None)
            assert live_site.client.get(path, headers={"If-None-Match": tag}).status_code == 304


def no_rendering(get: Callable[..., bytes]) -> Callable[..., bytes]:
    def unused() -> bytes:
        raise AssertionError

    return lambda snapshot_id, key, _: get(snapshot_id, key, unused)


def test_a_group_shows_members_and_null_for_never_committed(live_site: Site) -> None:
    body = live_site.json("/api/v1/groups/avro-consumer")
    assert body["members"][0]["instance_id"] == "avro-0"
    rows = {(row["topic"], row["partition"]): (row["committed"], row["end"], row["lag"]) for row in body["partitions"]}
    assert rows == {("news", 0): (5, 7, 2), ("news", 1): (None, 7, None), ("news", 2): (7, 7, 0)}


def test_a_failing_group_carries_its_error_and_the_others_are_shown(live_site: Site) -> None:
    body = live_site.json("/api/v1/groups")
    errors = {group["id"]: group["error"] for group in body["groups"]}
    assert errors["forbidden"] == "Group authorization failed"
    assert errors["avro-consumer"] is None


def test_a_group_that_is_not_known_now_is_not_a_404_and_says_since_when(live_site: Site) -> None:
    snapshot = a_snapshot(2)
    groups = [replace(group, state="Unknown", unknown_since=snapshot.collected_at) for group in snapshot.groups]
    live_site.store.succeeded(replace(snapshot, groups=tuple(groups), unlisted="broker 2 is silent"))
    body = live_site.json("/api/v1/groups/avro-consumer")
    assert (body["state"], body["unknown_since"], body["lag"]) == ("Unknown", "2026-01-02T03:04:05Z", 2)
    answer = live_site.client.get("/api/v1/groups/never-seen")
    assert answer.status_code == 503
    assert "'never-seen' is not known now: broker 2 is silent" in answer.text
    assert live_site.json("/api/v1/pipeline")["stages"]["join"]["state"] == "Unknown"
    assert 'kafka_consumergroup_members{consumergroup="avro-consumer"} 1.0' in live_site.client.get("/metrics").text


def test_topics_without_and_with_internal_ones(live_site: Site) -> None:
    def names(query: str) -> set[str]:
        return {topic["name"] for topic in live_site.json(f"/api/v1/topics{query}")["topics"]}

    assert names("?internal=true") - names("") == {"__consumer_offsets"}


def test_the_configuration_of_a_topic(site: Site) -> None:
    snapshot = a_snapshot()
    topics = [replace(topic, configuration={"retention.ms": "1000"}) for topic in snapshot.topics]
    site.store.succeeded(replace(snapshot, topics=tuple(topics)))
    assert site.json("/api/v1/topics/news")["configuration"] == {"retention.ms": "1000"}


def test_the_lag_of_a_group_in_records_and_in_seconds(live_site: Site) -> None:
    body = live_site.json("/api/v1/groups/avro-consumer/lag")
    exact, caught_up = (
        {"seconds": 2.5, "method": "record", "bound_seconds": 0.0},
        {"seconds": 0.0, "method": "caught_up", "bound_seconds": 0.0},
    )
    assert (body["id"], body["lag"], body["time_lag"]) == ("avro-consumer", 2, exact)
    assert [(row["partition"], row["lag"], row["time_lag"]) for row in body["partitions"]] == [
        (0, 2, exact),
        (1, None, None),
        (2, 0, caught_up),
    ]
    (member,) = live_site.json("/api/v1/groups/avro-consumer")["members"]
    assert (member["lag"], member["time_lag"]) == (2, exact)
    assert live_site.client.get("/api/v1/groups/none/lag").status_code == 404


def test_the_words_and_the_joined_records(live_site: Site) -> None:
    words = live_site.json("/api/v1/words?limit=1")
    assert (words["top_words"], words["distinct_words"]) == ([{"word": "kafka", "count": 21}], 2)
    joins = live_site.json("/api/v1/joins")
    assert (joins["joined_total"], joins["last_joined"][0]["word"]) == (1, "value10")
    assert live_site.client.get("/api/v1/words?limit=501").status_code == 400


def test_pipeline(live_site: Site) -> None:
    body = live_site.json("/api/v1/pipeline")
    assert body["records"]["mytopic"] == 123
    assert body["top_words"][0] == {"word": "kafka", "count": 21}
    assert body["last_joined"][0]["value"] == "(6, active)"
    assert body["connector_committed"] == 90
    assert body["lag"]["avro-consumer"] == 2


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/topics/none", 404),
        ("GET", "/api/v1/groups/none", 404),
        ("POST", "/api/v1/topics", 405),
        ("OPTIONS", "/", 405),
        ("DELETE", "/static/page.css", 405),
    ],
)
def test_errors_are_problems(live_site: Site, method: str, path: str, status: int) -> None:
    response = live_site.client.open(path, method=method)
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    assert response.json is not None
    assert (response.json["status"], response.json["instance"]) == (status, path)
    if status == 405:
        assert response.headers["Allow"] == "GET, HEAD"


def test_a_broker_that_is_gone_stays_on_the_page_and_does_not_count_as_one(live_site: Site) -> None:
    snapshot = a_snapshot(2)
    gone = Broker(3, None, None, state="gone", since=snapshot.collected_at, error="it is down")
    live_site.store.succeeded(replace(snapshot, brokers=(*snapshot.brokers[:2], gone)))
    cluster = live_site.json("/api/v1/cluster")
    assert (cluster["brokers"], cluster["brokers_gone"]) == (2, 1)
    (broker,) = (broker for broker in live_site.json("/api/v1/brokers")["brokers"] if broker["id"] == 3)
    assert (broker["state"], broker["since"], broker["host"]) == ("gone", "2026-01-02T03:04:05Z", None)
    page = live_site.client.get("/").text
    assert "gone since 03:04:05 UTC" in page
    assert page.count('class="dot alive"') == 2
    assert "kafka_brokers 2.0" in live_site.client.get("/metrics").text


def test_a_fault_is_a_500_problem_without_its_details(live_site: Site) -> None:
    live_site.app.extensions["snapshots"] = None
    response = live_site.client.get("/api/v1/cluster")
    assert (response.status_code, response.content_type) == (500, "application/problem+json")
    assert "NoneType" not in response.text


def test_before_the_first_snapshot(site: Site) -> None:
    site.store.failed("no broker answered")
    response = site.client.get("/api/v1/cluster")
    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert "no broker answered" in response.text
    assert "No snapshot yet" in site.client.get("/").text
    assert site.client.get("/readyz").status_code == 503
    assert site.client.get("/livez").status_code == 200
    assert "newsroom_status_up 0.0" in site.client.get("/metrics").text


def test_readiness_ends_when_the_snapshot_is_old_and_the_snapshot_stays(live_site: Site) -> None:
    live_site.clock.now += 4.9
    assert live_site.client.get("/readyz").status_code == 200
    live_site.clock.now += 0.2
    live_site.store.failed("no broker answered")
    assert live_site.client.get("/readyz").status_code == 503
    assert live_site.client.get("/livez").status_code == 200
    body = live_site.json("/api/v1/cluster")
    assert (body["stale"], body["error"], body["brokers"]) == (True, "no broker answered", 3)
    page = live_site.client.get("/").text
    assert "These figures are old." in page
    assert ">Live<" not in page


def test_a_snapshot_that_is_late_is_not_called_live(live_site: Site) -> None:
    tag = live_site.client.get("/live").headers["ETag"]
    assert ">Live<" in live_site.client.get("/live").text
    live_site.clock.now += 2.1
    late = live_site.client.get("/live", headers={"If-None-Match": tag})
    assert (late.status_code, ">Waiting<" in late.text, ">Live<" in late.text) == (200, True, False)
    body = live_site.json("/api/v1/cluster")
    assert (body["late"], body["stale"]) == (True, False)


def test_of_many_groups_the_page_shows_those_that_need_a_look(site: Site) -> None:
    quiet = [
        Group(f"quiet-{i:03}", "Stable", partitions=(GroupPartition("t", 0, 5, 0, 5),)) for i in range(MOST_GROUPS)
    ]
    behind = Group("z-behind", "Stable", partitions=(GroupPartition("t", 0, 5, 0, 9),))
    failing = Group("a-failing", error="Group authorization failed")
    groups = (failing, *quiet, behind)
    assert shown_groups(groups) == [failing, *quiet[: MOST_GROUPS - 2], behind]
    assert shown_groups(groups[:2]) == [failing, quiet[0]]
    site.store.succeeded(replace(a_snapshot(), groups=groups))
    assert "100 of 102 groups" in site.client.get("/").text


def test_the_page_is_complete_without_script_and_escapes_words(live_site: Site) -> None:
    response = live_site.client.get("/")
    for text in (
        "avro-consumer",
        "value10",
        "(6, active)",
        "localhost:29093",
        "&lt;b&gt;",
        "Group authorization failed",
    ):
        assert text in response.text
    assert "<b>" not in response.text.replace('<b class="', "")
    assert "style=" not in response.text
    assert "unsafe-inline" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    for name in ("page.css", "page.js", "icon.svg"):
        with live_site.client.get(f"/static/{name}") as file:
            assert file.status_code == 200
            assert f"/static/{name}" in response.text


@pytest.mark.parametrize("timestamp", [1_764_000_000_000_000, 2**63 - 1, -(2**63)])
def test_a_timestamp_out_of_range_is_left_out_and_breaks_nothing(live_site: Site, timestamp: int) -> None:
    snapshot = a_snapshot(2)
    joined = replace(snapshot.tables.joined[0], word="oddtime", timestamp_ms=timestamp)
    live_site.store.succeeded(replace(snapshot, tables=replace(snapshot.tables, joined=(joined,))))
    for path in ("/", "/live", "/api/v1/pipeline"):
        response = live_site.client.get(path)
        assert response.status_code == 200
        assert "oddtime" in response.text


def test_the_controller_is_named_and_marked_or_known_to_be_unknown(live_site: Site) -> None:
    body = live_site.json("/api/v1/cluster")
    assert (body["controller_id"], body["controller_epoch"]) == (2, 5)
    marked = re.findall(
        r"<strong>Broker (\d)</strong><span[^>]*epoch 5[^>]*>controller<", live_site.client.get("/").text
    )
    assert marked == ["2"]
    live_site.store.succeeded(replace(a_snapshot(2), controller_id=None, controller_epoch=None))
    page = live_site.client.get("/").text
    assert "no controller known" in page
    assert ">controller<" not in page
    assert "newsroom_status_controller_id" not in live_site.client.get("/metrics").text


def test_metrics_follow_the_known_names_and_omit_what_is_unknown(live_site: Site) -> None:
    live_site.clock.now += 2
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(live_site.client.get("/metrics").text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float | None:
        return samples.get((name, tuple(sorted(labels.items()))))

    group = {"consumergroup": "avro-consumer", "topic": "news"}
    assert value("kafka_brokers") == 3
    assert value("kafka_topic_partitions", topic="mytopic") == 5
    assert value("kafka_topic_partition_current_offset", topic="mytopic", partition="0") == 100
    assert value("kafka_topic_partition_oldest_offset", topic="mytopic", partition="0") == 0
    assert value("kafka_topic_partition_in_sync_replica", topic="word", partition="0") == 2
    assert value("kafka_topic_partition_under_replicated_partition", topic="word", partition="0") == 1
    assert value("kafka_consumergroup_current_offset", partition="0", **group) == 5
    assert value("kafka_consumergroup_lag", partition="0", **group) == 2
    assert value("kafka_consumergroup_lag", partition="1", **group) is None
    assert value("kafka_consumergroup_lag_sum", **group) == 2
    assert value("kafka_consumergroup_members", consumergroup="avro-consumer") == 1
    assert value("kafka_consumergroup_members", consumergroup="forbidden") is None
    group = {"cluster_name": "cluster", "group": "avro-consumer"}
    partition = {"topic": "news", "partition": "0"}
    assert value("kafka_partition_latest_offset", cluster_name="cluster", **partition) == 7
    assert value("kafka_partition_earliest_offset", cluster_name="cluster", **partition) == 0
    assert value("kafka_consumergroup_group_offset", **group, **partition) == 5
    assert value("kafka_consumergroup_group_lag", **group, **partition) == 2
    assert value("kafka_consumergroup_group_lag_seconds", **group, **partition) == 2.5
    assert value("kafka_consumergroup_group_lag_seconds", **group, topic="news", partition="1") is None
    assert value("kafka_consumergroup_group_topic_sum_lag", **group, topic="news") == 2
    connector = {"cluster_name": "cluster", "group": "connect-local-file-sink"}
    assert value("kafka_consumergroup_group_max_lag", **connector) == 10
    assert value("kafka_consumergroup_group_sum_lag", **connector) == 10
    assert value("kafka_consumergroup_group_max_lag_seconds", **connector) is None
    assert value("newsroom_status_group_rebalances_total", group="avro-consumer") == 3
    assert value("newsroom_status_group_moves_total", group="avro-consumer") == 4
    assert value("newsroom_status_group_unowned_seconds_total", group="avro-consumer") == 5.5
    assert value("newsroom_status_group_rebalances_total", group="connect-local-file-sink") == 0
    assert value("newsroom_status_group_status", group="avro-consumer", status="ok") == 1
    assert value("newsroom_status_group_status", group="avro-consumer", status="stopped") == 0
    assert value("newsroom_status_group_status", group="forbidden", status="unknown") == 1
    assert value("newsroom_status_up") == 1
    assert value("newsroom_status_controller_id") == 2
    assert value("newsroom_status_snapshot_age_seconds") == 2
    assert value("newsroom_status_last_success_timestamp_seconds") == 1_700_000_000


@pytest.mark.parametrize("group_id", ["/lead", "//x", "a\nb", "a\n", "a//b/", "a?b#c%d", "..", " ", "група", "groups"])
def test_a_group_id_of_any_shape_is_found(site: Site, group_id: str) -> None:
    site.store.succeeded(replace(a_snapshot(), groups=(Group(group_id, "Empty"),)))
    answer = site.client.get(f"/api/v1/groups/{quote(group_id, safe='')}")
    assert (answer.status_code, answer.json and answer.json["id"]) == (200, group_id)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("status-api:8000", 200),
        ("news.example", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_only_its_own_names_are_answered(host: str, status: int) -> None:
    settings = StatusSettings(public_url="https://news.example/status", allowed_hosts="other, status-api")
    app = create_app(SnapshotStore(1.0), Health(), settings)
    assert app.test_client().get("/livez", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "query",
    ["cluster?limit=3", "groups?internal=banana", "groups?internal=true&internal=false", "brokers?internal=true"],
)
def test_a_query_parameter_that_means_nothing_is_refused(live_site: Site, query: str) -> None:
    answer = live_site.client.get(f"/api/v1/{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert repr(query.partition("?")[2].partition("=")[0]) in answer.text


def rebalances(number: int, group: str = "avro-consumer") -> Rebalance:
    began = a_snapshot().collected_at
    move = Move("news", 0, "m-0", "m-1", 1.5)
    members = {"m-0": "gone", "m-1": "avro-consumer-0"}
    ended = began + timedelta(seconds=2)
    return Rebalance(number, group, began, ended, ("m-1",), ("m-0",), (move,), None, "a member joined", members)


def test_rebalances_are_answered_newest_first_page_by_page_and_shown(site: Site) -> None:
    events = tuple(rebalances(number, "join-service" if number == 2 else "avro-consumer") for number in (4, 3, 2, 1))
    site.store.succeeded(replace(a_snapshot(), rebalances=events))

    def numbers(query: str) -> tuple[list[int], int | None]:
        body = site.json(f"/api/v1/{query}")
        return [event["number"] for event in body["rebalances"]], body["next_before"]

    assert numbers("rebalances") == ([4, 3, 2, 1], None)
    assert numbers("rebalances?limit=3") == ([4, 3, 2], 2)
    assert numbers("rebalances?limit=3&before=2") == ([1], None)
    assert numbers("groups/avro-consumer/rebalances") == ([4, 3, 1], None)
    event = site.json("/api/v1/groups/join-service/rebalances")["rebalances"][0]
    assert (event["began"], event["seconds"], event["moves"][0]["after"]) == ("2026-01-02T03:04:05Z", 2.0, "m-1")
    assert "a member joined" in site.client.get("/").text
    for query in ("limit=0", "limit=501", "limit=x", "limit=1&limit=2", "before=-1"):
        assert site.client.get(f"/api/v1/rebalances?{query}").status_code == 400


def test_a_group_that_is_called_like_a_path_of_the_api_is_found(site: Site) -> None:
    site.store.succeeded(replace(a_snapshot(), groups=(Group("g/rebalances", "Empty"),)))
    path = "/api/v1/groups/g%2Frebalances"
    answer = site.client.get(path, environ_overrides={"RAW_URI": path})
    assert (answer.status_code, answer.json and answer.json["id"]) == (200, "g/rebalances")
