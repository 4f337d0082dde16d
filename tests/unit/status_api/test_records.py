"""The last records of a topic, read from librdkafka's mock cluster."""

from contextlib import closing
from dataclasses import replace

import pytest

from newsroom.health import Health
from newsroom.settings import KafkaSettings
from status_api.app import create_app
from status_api.decoding import MOST_BYTES, PREFIX, text_of
from status_api.model import Partition, TopicState
from status_api.records import RecordReader
from status_api.settings import StatusSettings
from status_api.store import SnapshotStore
from support.cluster import MockCluster
from support.web import Web
from unit.status_api.fakes import Site, a_snapshot

BY_TWO = TopicState("mytopic", tuple(Partition(number, 1, (1,), (1,), low=0, end=3) for number in range(2)))


def test_the_last_records_of_all_partitions_newest_first() -> None:
    with closing(MockCluster(brokers=1)) as cluster:
        for number in range(3):
            for partition in range(2):
                cluster.send("mytopic", [(f"k{partition}", f"v{partition}{number}")], partition=partition)
        reader = RecordReader(KafkaSettings(bootstrap_servers=cluster.address))
        records, complete = reader.last(BY_TWO, 2)
    assert complete
    # Both may have been sent in one millisecond.
    assert records[0]["timestamp_ms"] >= records[1]["timestamp_ms"]
    assert sorted((record["partition"], record["offset"], record["key"], record["value"]) for record in records) == [
        (0, 2, "k0", "v02"),
        (1, 2, "k1", "v12"),
    ]
    assert records[0]["bytes"] == 5


def test_avro_is_decoded_if_a_registry_is_set() -> None:
    topic = replace(BY_TWO, partitions=BY_TWO.partitions[:1])
    told = b'{"schema": "{\\"type\\": \\"string\\"}"}'
    with closing(MockCluster(brokers=1)) as cluster, Web(lambda request: request.reply(200, told)) as web:
        cluster.send("mytopic", [("k", PREFIX.pack(0, 7) + b"\x04ok")] * 3, partition=0)
        settings = StatusSettings(bootstrap_servers=cluster.address, registry_url=web.url)
        app = create_app(SnapshotStore(1.0), Health(), settings)
        records, _ = app.extensions["records"].last(topic, 1)
    assert (records[0]["value"], records[0]["schema_id"], records[0]["key"]) == ('"ok"', 7, "k")
    assert web.paths == ["/schemas/ids/7"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, None),
        (b"", ""),
        ("Grüße".encode(), "Grüße"),
        (b"\xff\x01", "ff 01"),
        (b"\x00\x00\x00\x00\x07\x02a", "schema 7: 02 61"),
        ("ü".encode() * MOST_BYTES, "ü" * (MOST_BYTES // 2) + f"… ({2 * MOST_BYTES} bytes)"),
        (b"a" + "ü".encode() * MOST_BYTES, "a" + "ü" * (MOST_BYTES // 2 - 1) + f"… ({2 * MOST_BYTES + 1} bytes)"),
    ],
)
def test_what_is_shown_of_a_key_or_a_value(data: bytes | None, text: str | None) -> None:
    assert text_of(data) == text


def test_one_reader_at_a_time_and_no_reader_of_what_is_not_there(live_site: Site) -> None:
    assert live_site.client.get("/api/v1/topics/none/records").status_code == 404
    assert live_site.client.get("/api/v1/topics/news/records?limit=101").status_code == 400
    with live_site.app.extensions["records"]._busy:
        answer = live_site.client.get("/api/v1/topics/news/records")
    assert answer.status_code == 503
    assert "ask again" in answer.text


def test_the_path_answers_with_records_and_its_snapshot(site: Site) -> None:
    with closing(MockCluster(brokers=1)) as cluster:
        cluster.send("mytopic", [("k", "v")], partition=0)
        site.app.extensions["records"] = RecordReader(KafkaSettings(bootstrap_servers=cluster.address))
        site.store.succeeded(replace(a_snapshot(), topics=(replace(BY_TWO, partitions=BY_TWO.partitions[:1]),)))
        body = site.json("/api/v1/topics/mytopic/records")
    assert [record["value"] for record in body["records"]] == ["v"]
    assert (body["snapshot_id"], body["complete"]) == ("boot-1", True)


def test_records_are_off_by_a_setting(live_site: Site) -> None:
    assert 'id="show-records"' in live_site.client.get("/topics/news").text
    client = create_app(live_site.store, Health(), StatusSettings(records=False)).test_client()
    assert client.get("/api/v1/topics/news/records").status_code == 404
    assert 'id="show-records"' not in client.get("/topics/news").text
