"""The end-to-end tests' hand inside the compose network: runs in a container there, told what to do on standard input.

One JSON object a line each way: `{"number": N, "call": NAME, "arguments": {…}}` is answered with
`{"number": N, "result": …}` or `{"number": N, "error": TEXT}`. What is called is a method of `Agent`, or of the
`Observer` it holds. Bytes travel as Latin-1.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from newsroom.schemas.avro import AvroEncoder
from newsroom.schemas.files import read_schema
from newsroom.schemas.registry import register, registry_client
from newsroom.settings import KafkaSettings
from newsroom_stack.pipeline.observe import Observer

CONSUMED = Path("/consumed")
"""The avro-consumer's volume: the JSON lines of all its replicas."""

SCHEMA = Path("/app/schemas/news.avsc")
TOPIC_SECONDS = 60.0
FLUSH_SECONDS = 90.0
"""A load must be acknowledged in the end, be a broker away for a while."""

HTTP_SECONDS = 10.0

QUIET = {"log_level": 0}
"""Brokers come and go in these tests."""


class Load:
    """A steady stream of records with an id each, and the account of which were acknowledged."""

    def __init__(self, settings: KafkaSettings, topic: str, rate: float, prefix: str) -> None:
        self._producer = Producer(settings.producer_config("tester", linger_ms=5) | QUIET)
        self._encode = _encoder(settings) if topic == "news" else str.encode
        self._topic = topic
        self._rate = rate
        self._prefix = prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.sent: list[str] = []
        self.acknowledged: list[str] = []
        self.failures: list[str] = []
        self._thread.start()

    def _run(self) -> None:
        started = time.monotonic()
        for number in itertools.count():
            self._stop.wait(max(0.0, started + number / self._rate - time.monotonic()))
            if self._stop.is_set():
                return
            text = f"{self._prefix}{number}"
            self.sent.append(text)
            while True:
                try:
                    self._producer.produce(self._topic, self._encode(text), text, on_delivery=self._done)
                    break
                except BufferError:
                    self._producer.poll(0.1)
            self._producer.poll(0)

    def _done(self, error: object, message: Any) -> None:  # noqa: ANN401 - the client ships no types
        if error is None:
            self.acknowledged.append(message.key().decode())
        else:
            self.failures.append(str(error))

    def finish(self) -> dict[str, Any]:
        """Stop, wait for the outstanding reports, and give the account."""
        self._stop.set()
        self._thread.join()
        self._producer.flush(FLUSH_SECONDS)
        return {"sent": len(self.sent), "acknowledged": self.acknowledged, "failures": self.failures[:5]}


def _offsets(given: dict[str, int] | None) -> dict[int, int]:
    # JSON has no numbers as keys.
    return {int(partition): offset for partition, offset in (given or {}).items()}


def _encoder(settings: KafkaSettings) -> Any:  # noqa: ANN401
    schema = read_schema(SCHEMA)
    encoder = AvroEncoder(schema, register(registry_client(settings), "news-value", schema))
    return lambda text: encoder.encode({"title": text, "media": "tester"})


class Agent:
    """What the tests may ask for."""

    def __init__(self) -> None:
        self._settings = KafkaSettings(
            bootstrap_servers=os.environ["NEWSROOM_BOOTSTRAP_SERVERS"],
            registry_url=os.environ["NEWSROOM_REGISTRY_URL"],
        )
        self._observer = Observer(self._settings.bootstrap_servers)
        self._loads: dict[str, Load] = {}

    def handle(self, line: str) -> dict[str, Any]:
        """Carry out one request."""
        request = json.loads(line)
        try:
            owner = self if hasattr(type(self), request["call"]) else self._observer
            answer = {"result": getattr(owner, request["call"])(**request["arguments"])}
        except Exception as error:  # noqa: BLE001 - the test is told, whatever it was
            answer = {"error": f"{type(error).__name__}: {error}\n{traceback.format_exc(limit=-3)}"}
        return {"number": request["number"], **answer}

    def read(self, topic: str, since: dict[str, int] | None) -> list[dict[str, Any]]:
        """Every committed record of a topic, or those since some end offsets."""
        return [asdict(record) for record in self._observer.read(topic, _offsets(since))]

    def passed(self, group: str, topic: str, ends: dict[str, int]) -> bool:
        """Whether a group has committed past every record below these end offsets."""
        return self._observer.passed(group, topic, _offsets(ends))

    def counts_of(self, prefix: str) -> dict[str, int]:
        """The counts of the words with this beginning."""
        return {word: count for word, count in self._observer.counts().items() if word.startswith(prefix)}

    def joined(self, since: dict[str, int] | None) -> list[tuple[str, int, str]]:
        """Every joined result, or those since some end offsets."""
        return self._observer.joined(_offsets(since))

    def get(self, url: str) -> dict[str, Any]:
        """Ask an address in the network."""
        try:
            response = httpx.get(url, timeout=HTTP_SECONDS)
        except httpx.HTTPError as error:
            return {"status": 0, "text": f"{type(error).__name__}: {error}"}
        return {"status": response.status_code, "text": response.text}

    def send(self, topic: str, records: list[tuple[str | None, str | None]]) -> None:
        """Write raw records and wait until they are delivered."""
        producer = Producer(self._settings.producer_config("tester") | QUIET)
        failures: list[str] = []
        for key, value in records:
            producer.produce(
                topic,
                key=None if key is None else key.encode("latin-1"),
                value=None if value is None else value.encode("latin-1"),
                on_delivery=lambda error, _: failures.append(str(error)) if error else None,
            )
        left = producer.flush(FLUSH_SECONDS)
        if failures or left:
            raise RuntimeError(f"{len(failures)} of {len(records)} records failed, {left} unknown: {failures[:3]}")

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic and wait until it is there."""
        admin = AdminClient({"bootstrap.servers": self._settings.bootstrap_servers} | QUIET)
        admin.create_topics([NewTopic(name, partitions, 3)])[name].result(TOPIC_SECONDS)

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        admin = AdminClient({"bootstrap.servers": self._settings.bootstrap_servers} | QUIET)
        admin.create_partitions([NewPartitions(name, partitions)])[name].result(TOPIC_SECONDS)

    def load_start(self, name: str, topic: str, rate: float, prefix: str) -> None:
        """Begin a load."""
        self._loads[name] = Load(self._settings, topic, rate, prefix)

    def load_finish(self, name: str) -> dict[str, Any]:
        """End a load and give its account."""
        return self._loads.pop(name).finish()

    def consumed(self, prefix: str) -> dict[str, int]:
        """How often each title with this beginning stands in the avro-consumer's JSON lines."""
        titles: Counter[str] = Counter()
        for file in sorted(CONSUMED.glob("consumed/*.jsonl")):
            # What follows the last line's end is being written.
            for line in file.read_text().rpartition("\n")[0].splitlines():
                value = json.loads(line)["value"]
                if isinstance(value, dict) and str(value.get("title", "")).startswith(prefix):
                    titles[value["title"]] += 1
        return titles


def main() -> None:
    """Answer until standard input ends."""
    agent = Agent()
    for line in sys.stdin:
        answer = agent.handle(line)
        sys.stdout.write(json.dumps(answer, default=lambda data: data.decode("latin-1")) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
