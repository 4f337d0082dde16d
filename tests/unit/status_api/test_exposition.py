"""The text of the metrics is that of prometheus_client, in both formats."""

from collections.abc import Iterable

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector
from typing_extensions import override

from status_api.exposition import Rows, exposition
from unit.status_api.fakes import Site

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class Families(Collector):
    @override
    def collect(self) -> Iterable[Metric]:
        offset = GaugeMetricFamily("kafka_offset", 'A "help"\nin two lines.', labels=["group", "topic"])
        for group, value in (('a"b\\c\nd', 3), ("група", 0.25), ("", 12_345_678_901)):
            offset.add_metric([group, "t"], value)
        moves = CounterMetricFamily("moves", "Moves.", labels=["group"])
        moves.add_metric(["g"], 4)
        yield from (offset, moves, GaugeMetricFamily("brokers", "Brokers.", value=True))
        yield GaugeMetricFamily("nothing", "No sample.", labels=["x"])


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
def test_the_text_says_what_the_library_says(accept: str, parse: object) -> None:
    assert callable(parse)
    encode, _ = choose_encoder(accept)
    end = b"# EOF\n" if accept else b""
    ours = b"".join(exposition(Families().collect(), encode)) + end
    assert list(parse(ours.decode())) == list(parse(encode(Families()).decode()))
    assert ours.count(b"# EOF") == bool(accept)
    assert [line for line in ours.splitlines() if line.startswith(b"#")] == [
        line for line in encode(Families()).splitlines() if line.startswith(b"#")
    ]


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_rows_are_written_as_the_library_writes_samples(accept: str) -> None:
    values = [('a"b\\c\nd', 3), ("%s", 0.25), ("unknown", None), ("", True)]
    family = GaugeMetricFamily("lag", "Lag.", labels=["group", "topic"])
    for group, value in values:
        if value is not None:
            family.add_metric([group, "t"], value)
    rows = Rows("lag", "Lag.", ["group", "topic"], lambda: (([group, "t"], value) for group, value in values))
    encode, _ = choose_encoder(accept)
    assert b"".join(exposition([rows], encode)) == b"".join(exposition([family], encode))


@pytest.mark.parametrize(("accept", "parse"), [("", parse_text), (OPENMETRICS, parse_openmetrics)])
def test_the_whole_answer_can_be_parsed(live_site: Site, accept: str, parse: object) -> None:
    assert callable(parse)
    text = live_site.client.get("/metrics", headers={"Accept": accept}).text
    names = {family.name for family in parse(text)}
    assert {"kafka_consumergroup_group_lag_seconds", "newsroom_status_up"} <= names
