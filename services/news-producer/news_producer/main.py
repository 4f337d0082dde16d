"""Wires news-producer together: settings, sources, schema and sender make a run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from news_producer.inputs import BadLines
from news_producer.items import AvroRecords, Encoded, Item, StringRecords, key_policy
from news_producer.ledger import Ledger, LedgerMetrics
from news_producer.registry import schema_id
from news_producer.run import Run, log_account
from news_producer.sender import NEED, Sender
from news_producer.sources import open_source
from newsroom.health import Health, HealthServer
from newsroom.schemas.avro import AvroEncoder, read_schema
from newsroom.schemas.registry import Patience, registry_client
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from news_producer.settings import ProducerSettings
    from newsroom.waiting import StopFlag

NAME = "news-producer"


def run(settings: ProducerSettings, stop: StopFlag) -> int:
    """Send the records that the settings describe; the exit code is 1 if a record failed."""
    health = Health(NEED)
    bad = BadLines(skip=settings.skip_bad_lines)
    with ExitStack() as resources:
        resources.enter_context(HealthServer(health, settings.http_host, settings.http_port))
        sources = [open_source(source, settings, stop, bad) for source in settings.sources]
        try:
            encode = _encoder(settings, Patience(settings.registry_timeout, stop, health.tick))
        except Stopped:
            log_account(Ledger(settings.topic_name), bad)
            raise
        timeout = settings.message_timeout
        sender = Sender(settings.client(NAME), settings.topic_name, message_timeout=timeout, stop=stop, health=health)
        metrics = LedgerMetrics(sender.ledger)
        REGISTRY.register(metrics)
        resources.callback(REGISTRY.unregister, metrics)
        return Run(settings, sources, encode, sender, bad).send_all(stop)


def _encoder(settings: ProducerSettings, patience: Patience) -> Callable[[Item], Encoded]:
    key = key_policy(settings.key, settings.fixed_key)
    if settings.format == "string":
        return StringRecords(key).encode
    schema = read_schema(settings.schema_path)
    subject = settings.subject_name
    ask = partial(schema_id, registry_client(settings), subject, schema, may_register=settings.register_schema)
    number = patience.ask(ask, f"subject {subject}")
    return AvroRecords(schema, AvroEncoder(schema, number), key).encode
