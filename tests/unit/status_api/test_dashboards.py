"""The alerts and the dashboard in deploy/ ask for nothing that /metrics does not serve."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from newsroom_stack.layout import REPOSITORY
from status_api.marks import TimeLag
from status_api.model import Group, GroupPartition
from unit.status_api.fakes import Site, a_snapshot

PROMETHEUS = REPOSITORY / "deploy/prometheus"
GRAFANA = REPOSITORY / "deploy/grafana"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards/newsroom.json").read_text())

ADDED = {"job", "instance"}
"""Labels that Prometheus adds to each series."""

ITS_OWN = {"up": ADDED, "ALERTS": {"alertname", "alertstate", "severity"}}
"""Series that Prometheus makes itself."""

_EXPORTER = {"consumergroup", "topic", "partition"}
_LAG_EXPORTER = {"cluster_name", "group"}
KNOWN_DASHBOARDS = {
    "kafka_broker_info": set(),
    "kafka_topic_partitions": {"topic"},
    "kafka_topic_partition_replicas": {"topic"},
    "kafka_topic_partition_in_sync_replica": {"topic"},
    "kafka_topic_partition_under_replicated_partition": {"topic"},
    "kafka_topic_partition_leader_is_preferred": {"topic"},
    "kafka_topic_partition_current_offset": {"topic", "partition"},
    "kafka_topic_partition_oldest_offset": {"topic", "partition"},
    "kafka_consumergroup_current_offset": _EXPORTER,
    "kafka_consumergroup_lag": _EXPORTER,
    "kafka_consumergroup_group_max_lag_seconds": _LAG_EXPORTER,
    "kafka_consumergroup_group_max_lag": _LAG_EXPORTER,
    "kafka_consumergroup_group_lag_seconds": _LAG_EXPORTER | {"topic", "partition"},
    "kafka_consumergroup_group_lag": _LAG_EXPORTER | {"topic", "partition"},
    "kafka_consumergroup_group_offset": _LAG_EXPORTER | {"topic", "partition"},
    "kafka_partition_latest_offset": {"cluster_name", "topic", "partition"},
}
"""What the dashboards of kafka_exporter (Grafana 7589), of Strimzi's exporter and of kafka-lag-exporter query.

Left out are the figures of kafka-lag-exporter's JVM and two that Strimzi's dashboard takes from the brokers' JMX.
Prometheus adds the label `namespace`.
"""

METRIC = re.compile(r"\b((?:kafka|newsroom|process)[_:]\w+|up|ALERTS)\b(?:\s*\{([^}]*)\})?")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")


def served(site: Site) -> dict[str, set[str]]:
    """The labels of each metric that /metrics serves."""
    families = text_string_to_metric_families(site.client.get("/metrics").text)
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def recorded() -> dict[str, set[str]]:
    """The labels of each series that a rule records; they are those of the metric that it selects from."""
    return {rule["record"]: {"consumergroup", "topic", "partition"} for rule in RULES if "record" in rule}


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield str(rule.get("alert", rule.get("record"))), str(rule["expr"])
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable["definition"]


@pytest.mark.parametrize(("name", "expression"), [pytest.param(*pair, id=pair[0]) for pair in expressions()])
def test_alerts_and_panels_ask_for_metrics_and_labels_that_are_served(
    live_site: Site, name: str, expression: str
) -> None:
    known = served(live_site) | recorded() | ITS_OWN
    # Label matchers apart: their values look like names.
    metrics = {match[1]: set(MATCHER.findall(match[2] or "")) for match in METRIC.finditer(expression)}
    assert metrics, name
    assert set(metrics) <= set(known)
    for metric, labels in metrics.items():
        assert labels <= known[metric] | ADDED, metric
    groupings = {label.strip() for labels in GROUPING.findall(expression) for label in labels.split(",")}
    assert groupings <= set().union(*(known[metric] for metric in metrics))


@pytest.mark.parametrize("metric", KNOWN_DASHBOARDS)
def test_what_known_dashboards_query_is_served_with_the_labels_that_they_use(site: Site, metric: str) -> None:
    row = GroupPartition("news", 0, committed=5, low=0, end=7, time_lag=TimeLag(1.5, "record", 0.0))
    site.store.succeeded(replace(a_snapshot(), groups=(Group("reader", "Stable", partitions=(row,)),)))
    assert KNOWN_DASHBOARDS[metric] <= served(site)[metric]


def test_each_alert_has_a_test_that_fires_it_and_says_how_bad_it_is() -> None:
    alerts = {rule["alert"]: rule for rule in RULES if "alert" in rule}
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    assert {check["alertname"] for check in checks if "exp_alerts" in check} == set(alerts)
    assert all(rule["labels"]["severity"] in {"critical", "warning"} for rule in alerts.values())
    assert all(rule["annotations"]["summary"] for rule in alerts.values())


def test_prometheus_scrapes_the_container_by_a_name_that_status_api_answers_to() -> None:
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for config in job["static_configs"] for target in config["targets"]]
    assert targets == ["status-api:8000"]
    assert services["status-api"]["environment"]["NEWSROOM_STATUS_ALLOWED_HOSTS"] == "status-api"
    jobs_of_rules = re.findall(r'job="([^"]*)"', (PROMETHEUS / "rules.yml").read_text())
    assert set(jobs_of_rules) == {job["job_name"] for job in jobs}


def test_the_dashboard_has_the_source_and_the_place_that_are_provisioned() -> None:
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/newsroom.yml").read_text())["providers"][0]
    grafana = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["grafana"]
    uids = {part["datasource"]["uid"] for panel in DASHBOARD["panels"] for part in (panel, *panel["targets"])}
    assert uids == {source["uid"]}
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].startswith(provider["options"]["path"])
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(identifiers) == len(set(identifiers))
