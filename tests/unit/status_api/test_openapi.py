"""Every answer of the API is what its description says, and the description has every path."""

import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator

from newsroom.settings import KafkaSettings
from status_api.marks import STATUSES, Finding, Tail
from status_api.model import Group, GroupMember, GroupPartition, Move, Partition, Rebalance, TopicState
from status_api.paging import MOST_ITEMS
from status_api.records import MOST_RECORDS, RecordReader
from status_api.requests import PARAMETERS
from support.cluster import MockCluster
from unit.status_api.fakes import Site, a_snapshot, surroundings

PREFIX = "/api/v1"


def description(site: Site) -> dict[str, Any]:
    document: dict[str, Any] = site.json(f"{PREFIX}/openapi.json")
    return document


def resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = document
        for name in value["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        value = found
    return value


def check(site: Site, path: str, template: str, status: int = 200) -> Any:  # noqa: ANN401 - JSON values
    """Ask for a path and hold the answer against the description of its template; return its body."""
    document = description(site)
    response = site.client.get(PREFIX + path)
    assert response.status_code == status, response.text
    content = document["paths"][template]["get"]["responses"][str(status)]["content"]
    (kind,) = content
    assert response.content_type == kind
    schema = content[kind]["schema"] | {"components": document["components"]}
    jsonschema.validate(response.json, schema, Draft202012Validator)
    return response.json


@pytest.fixture
def full_site(site: Site) -> Site:
    """A snapshot in which every field has a value somewhere."""
    snapshot = a_snapshot()
    at = snapshot.collected_at
    member = GroupMember("m", "c", "h", "i", (("news", 0),), (("news", 0), ("news", 1)), 4, at)
    row = GroupPartition("news", 0, 5, 0, 7, "m", "odd", at, tail=Tail(True, 6, 1), stalled_seconds=20.0)
    row = replace(row, finding=Finding("stopped", "No commit", 20.0, 15.0))
    group = Group("a/b", "Stable", "consumer", "uniform", 1, (member,), (row,), 5, "odd", at)
    group = replace(group, finding=Finding("falling_behind", "The lag grows", 1.5))
    move = Move("news", 0, None, "m", 1.5)
    events = (
        Rebalance(2, "a/b", at),
        Rebalance(1, "a/b", at, at + timedelta(seconds=2), ("m",), ("n",), (move,), 4, "a member joined", {"m": "c"}),
    )
    topics = [replace(topic, configuration={"retention.ms": "1000"}, error="odd") for topic in snapshot.topics]
    everything = replace(snapshot, groups=(*snapshot.groups, group), rebalances=events, topics=tuple(topics))
    everything = replace(everything, surroundings=surroundings(at))
    for number in range(3):
        later = at + timedelta(seconds=5 * number)
        site.store.succeeded(replace(everything, id=f"boot-{number}", collected_at=later))
    return site


@pytest.mark.parametrize(
    ("path", "template"),
    [
        *((path, path) for path in ("/cluster", "/brokers", "/topics", "/groups", "/rebalances")),
        *((path, path) for path in ("/words", "/joins", "/pipeline")),
        *((path, path) for path in ("/schemas", "/connectors", "/services")),
        ("/groups?limit=1&sort=-lag", "/groups"),
        ("/cluster?internal=true", "/cluster"),
        ("/topics/news", "/topics/{name}"),
        ("/groups/avro-consumer", "/groups/{group_id}"),
        ("/groups/a%2Fb", "/groups/{group_id}"),
        ("/groups/forbidden", "/groups/{group_id}"),
        ("/groups/a%2Fb/lag", "/groups/{group_id}/lag"),
        ("/groups/forbidden/lag", "/groups/{group_id}/lag"),
        ("/groups/a%2Fb/rebalances", "/groups/{group_id}/rebalances"),
    ],
)
def test_an_answer_is_as_described(full_site: Site, path: str, template: str) -> None:
    check(full_site, path, template)


def test_the_records_of_a_topic_are_as_described(site: Site) -> None:
    topic = TopicState("mytopic", (Partition(0, 1, (1,), (1,), low=0, end=1),))
    with closing(MockCluster(brokers=1)) as cluster:
        cluster.send("mytopic", [(None, "v")], partition=0)
        site.app.extensions["records"] = RecordReader(KafkaSettings(bootstrap_servers=cluster.address))
        site.store.succeeded(replace(a_snapshot(), topics=(topic,)))
        body = check(site, "/topics/mytopic/records", "/topics/{name}/records")
    assert body["records"][0]["key"] is None


@pytest.mark.parametrize(
    ("path", "template", "status"),
    [
        ("/topics/none/records", "/topics/{name}/records", 404),
        ("/events", "/events", 503),
    ],
)
def test_an_error_is_as_described(live_site: Site, path: str, template: str, status: int) -> None:
    check(live_site, path, template, status)


def test_before_the_first_snapshot_every_path_but_two_is_unavailable(site: Site) -> None:
    for template in description(site)["paths"]:
        if template not in {"/events", "/openapi.json"}:
            check(site, re.sub(r"\{\w+\}", "x", template), template, 503)


def test_the_description_has_every_path_and_parameter_and_no_other(site: Site) -> None:
    document = description(site)
    paths = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule).removeprefix(PREFIX): rule.endpoint
        for rule in site.app.url_map.iter_rules()
        if rule.rule.startswith(PREFIX)
    }
    assert paths.keys() == document["paths"].keys()
    for path, endpoint in paths.items():
        operation = document["paths"][path]["get"]
        assert endpoint == f"api.{operation['operationId']}"
        parameters = [resolved(document, parameter) for parameter in operation.get("parameters", [])]
        query = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        assert query == PARAMETERS.get(endpoint, frozenset()), path
        assert {parameter["name"] for parameter in parameters if parameter["in"] == "path"} == set(
            re.findall(r"\{(\w+)\}", path)
        )


def test_the_limits_in_the_description_are_those_of_the_service(live_site: Site) -> None:
    parameters = description(live_site)["components"]["parameters"]
    assert parameters["limit"]["schema"]["maximum"] == MOST_ITEMS
    assert parameters["records"]["schema"]["maximum"] == MOST_RECORDS
    group = description(live_site)["components"]["schemas"]["Group"]["properties"]
    assert set(group["status"]["enum"]) == set(STATUSES)
    for name, path in (("topic_sort", "topics"), ("group_sort", "groups")):
        for sort in parameters[name]["schema"]["enum"]:
            assert live_site.client.get(f"{PREFIX}/{path}?sort={sort}").status_code == 200, sort


def test_a_body_that_is_not_as_described_is_found(live_site: Site) -> None:
    schema = description(live_site)["components"]["schemas"]["TimeLag"]
    good = {"seconds": 1.0, "method": "record", "bound_seconds": 0.0}
    jsonschema.validate(good, schema, Draft202012Validator)
    for wrong in ({"seconds": -1.0}, {"seconds": None}, {"method": "guess"}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(good | wrong, schema, Draft202012Validator)
