"""Wires news-producer together: settings, sources, schema and sender make a run."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from prometheus_client import REGISTRY

from news_producer.inputs import STRINGS
from news_producer.items import AvroRecords, Encoded, Item, StringRecords, key_policy
from news_producer.ledger import Ledger, LedgerMetrics
from news_producer.lines import Wanted
from news_producer.run import Run, log_account
from news_producer.sender import NEED, Sender
from news_producer.sources import open_source
from newsroom.health import Health, HealthServer
from newsroom.schemas.files import read_schema
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from news_producer.settings import ProducerSettings
    from newsroom.waiting import StopFlag

NAME = "news-producer"


def run(settings: ProducerSettings, stop: StopFlag) -> int:
    """Send the records that the settings describe; the exit code is 1 if a record failed."""
    health = Health(NEED)
    ledger = Ledger(settings.topic_name)
    schema = None if settings.format == "string" else read_schema(settings.schema_path)
    with ExitStack() as resources:
        resources.enter_context(HealthServer(health, settings.http_host, settings.http_port))
        wanted = STRINGS if schema is None else _fields(schema)
        sources = [open_source(source, settings, stop, wanted) for source in settings.sources]
        # It connects while the registry is asked.
        sender = Sender(
            settings.client(NAME),
            ledger,
            message_timeout=settings.message_timeout,
            stop=stop,
            health=health,
            max_message_bytes=settings.max_message_bytes,
        )
        metrics = LedgerMetrics(ledger)
        REGISTRY.register(metrics)
        resources.callback(REGISTRY.unregister, metrics)
        try:
            encode = _encoder(settings, schema, stop, health.tick)
        except Stopped:
            log_account(ledger)
            raise
        return Run(settings, sources, encode, sender).send_all(stop)


def _fields(schema: Mapping[str, Any]) -> Wanted:
    """The fields of records of a schema; an article's id becomes the record's key."""
    required = {field["name"] for field in schema["fields"] if "default" not in field}
    return Wanted(frozenset(required), frozenset({"id", *(field["name"] for field in schema["fields"])}))


def _encoder(
    settings: ProducerSettings, schema: Mapping[str, Any] | None, stop: StopFlag, tick: Callable[[], None]
) -> Callable[[Item], Encoded]:
    key = key_policy(settings.key, settings.fixed_key)
    if schema is None:
        return StringRecords(key).encode
    # Imported when the Kafka client connects, and only for Avro: the registry's client takes longer to import.
    from news_producer.registry import SchemaWatch, schema_id  # noqa: PLC0415
    from newsroom.schemas.avro import AvroEncoder  # noqa: PLC0415
    from newsroom.schemas.registry import Patience, registry_client  # noqa: PLC0415

    subject = settings.subject_name
    registry = registry_client(settings, stop, tick)
    ask = partial(schema_id, registry, subject, schema, may_register=settings.register_schema)
    number = Patience(settings.registry_timeout, stop, tick).ask(ask, f"subject {subject}")
    watch = SchemaWatch(registry, subject, schema, number, may_register=settings.register_schema)
    return AvroRecords(schema, AvroEncoder(schema, watch.look), key).encode
