"""Prometheus's own tool looks at the alerts in deploy/ and at what status-api serves."""

import subprocess
from pathlib import Path

import pytest

from newsroom_stack.layout import REPOSITORY
from support.pipeline import ProcessPipeline
from support.tools import need

RULES = REPOSITORY / "deploy/prometheus"

KNOWN_COMPLAINTS = {
    f'{name} non-histogram and non-summary metrics should not have "_sum" suffix'
    for name in ("kafka_consumergroup_current_offset_sum", "kafka_consumergroup_lag_sum")
}
"""kafka_exporter's names, which dashboards use."""


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    tool = need("promtool", "prometheus")
    return subprocess.run(
        [tool, *arguments], input=text, cwd=RULES, capture_output=True, text=True, timeout=60, check=False
    )


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    done = promtool("test", "rules", "rules_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        (">= 6", ">= 7"),
        ("> 10000", "> 9999"),
        ("> 60\n", "> 59\n"),
        ("for: 10s", "for: 10m"),
        ("newsroom:consumergroup_lag > newsroom:consumergroup_lag offset 1m", "newsroom:consumergroup_lag > 0"),
        ("changes(kafka_topic_partition_oldest_offset[1d]) > 0", "kafka_topic_partition_oldest_offset"),
    ],
)
def test_the_tests_of_the_alerts_notice_a_change(tmp_path: Path, line: str, broken: str) -> None:
    rules = (RULES / "rules.yml").read_text()
    assert line in rules
    (tmp_path / "rules.yml").write_text(rules.replace(line, broken))
    (tmp_path / "rules_test.yml").write_text((RULES / "rules_test.yml").read_text())
    assert promtool("test", "rules", str(tmp_path / "rules_test.yml")).returncode == 1


def test_the_configuration_is_valid() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_metrics_are_clean_but_for_two_names(pipeline: ProcessPipeline) -> None:
    done = promtool("check", "metrics", text=pipeline.api("/metrics").text)
    assert set(done.stderr.strip().splitlines()) <= KNOWN_COMPLAINTS
