"""What waits in the log, read from librdkafka's mock cluster."""

from contextlib import closing

from newsroom.settings import KafkaSettings
from status_api.tails import TailReader
from support.cluster import MockCluster


def test_a_record_waits_or_the_end_is_reached() -> None:
    with closing(MockCluster(brokers=1)) as cluster:
        cluster.send("mytopic", [(None, f"v{number}") for number in range(3)], partition=1)
        with closing(TailReader(KafkaSettings(bootstrap_servers=cluster.address))) as reader:
            places = {("mytopic", 1, 2), ("mytopic", 0, 0)}
            for _ in range(20):  # the mock cluster may take longer than one look
                reader.turn(places - reader.tails.keys())
                if reader.tails.keys() == places:
                    break
            assert (reader.tails["mytopic", 1, 2].waits, reader.tails["mytopic", 1, 2].end) == (True, 3)
            assert reader.tails["mytopic", 1, 2].timestamp_ms is not None
            assert (reader.tails["mytopic", 0, 0].waits, reader.tails["mytopic", 0, 0].end) == (False, 0)
            reader.keep([("mytopic", 1, 2)])
            assert reader.tails.keys() == {("mytopic", 1, 2)}
