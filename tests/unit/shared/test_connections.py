"""How often the clients of a cluster connect while no broker serves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from newsroom.admin.quorum import QuorumReader
from newsroom.errors import ClusterUnavailable
from newsroom.health import Health
from newsroom.settings import KafkaSettings
from newsroom.slots import take_slot
from newsroom.streams.application import StreamApplication
from newsroom.streams.settings import StreamSettings
from newsroom.waiting import StopFlag

SECONDS = 2.0
MOST = 60
"""Connections in that time: with pauses of 0.1 to 1 s there are ten or so, and without any there are thousands."""


class ClosingServer:
    """Accepts connections and closes each at once, as a broker that is just starting does; counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[ClosingServer]:
    server = ClosingServer()
    yield server
    server.close()


def asks_with_librdkafka(settings: KafkaSettings) -> Callable[[], object]:
    admin = AdminClient(settings.client_config("test") | {"log_level": 0})
    return lambda: admin.list_topics(timeout=0.5)


def consumes(settings: KafkaSettings) -> Callable[[], object]:
    consumer = Consumer(settings.consumer_config("test", "g", log_level=None) | {"log_level": 0})
    consumer.subscribe(["t"])
    return lambda: consumer.poll(0.5)


def produces(settings: KafkaSettings) -> Callable[[], object]:
    producer = Producer(settings.producer_config("test") | {"log_level": 0})
    producer.produce("t", b"x")
    return lambda: producer.poll(0.5)


def asks_with_kafka_python(settings: KafkaSettings) -> Callable[[], object]:
    reader = QuorumReader(settings, 0.5)
    return lambda: reader.ask().result(1.0)


@pytest.mark.parametrize("client", [asks_with_librdkafka, consumes, produces, asks_with_kafka_python])
def test_a_client_pauses_between_its_connections(
    server: ClosingServer, client: Callable[[KafkaSettings], Callable[[], object]]
) -> None:
    ask = client(KafkaSettings(bootstrap_servers=server.address))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with suppress(KafkaException, ClusterUnavailable, TimeoutError):
            ask()
    assert 1 <= server.connections <= MOST


def test_quix_asks_with_one_admin_client(server: ClosingServer, tmp_path: Path) -> None:
    settings = StreamSettings(consumer_group="g", state_dir=tmp_path, bootstrap_servers=server.address)
    with take_slot(tmp_path) as slot:
        app = StreamApplication(settings, slot, tmp_path / "id", Health(), StopFlag(), poll_seconds=0.1)
        admin = app._topic_manager._admin
        assert admin.admin_client is admin.admin_client
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            with suppress(KafkaException):
                admin.list_topics(timeout=0.1)
    assert 1 <= server.connections <= MOST
