"""Wires news-producer together: settings, sources, schema and sender make a run."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
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
from newsroom.logs import get_logger
from newsroom.schemas.files import read_schema
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from news_producer.settings import ProducerSettings
    from newsroom.waiting import StopFlag

log = get_logger(__name__)

NAME = "news-producer"


def run(settings: ProducerSettings, stop: StopFlag) -> int:
    """Send the records that the settings describe; the exit code is 1 if a record failed."""
    health = Health(NEED)
    ledger = Ledger(settings.topic_name)
    contract = _contract(settings, stop, health.tick)
    schema = None if contract is None else contract.schema
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
            encode = _encoder(settings, contract, stop, health.tick)
        except Stopped:
            log_account(ledger)
            raise
        return Run(settings, sources, encode, sender).send_all(stop)


def _fields(schema: Mapping[str, Any]) -> Wanted:
    """The fields of records of a schema; an article's id becomes the record's key."""
    required = {field["name"] for field in schema["fields"] if "default" not in field}
    return Wanted(frozenset(required), frozenset({"id", *(field["name"] for field in schema["fields"])}))


@dataclass(frozen=True)
class Contract:
    """The schema of the records; `number` is its id, if it is the latest one of its subject."""

    schema: Mapping[str, Any]
    number: int | None = None


def _contract(settings: ProducerSettings, stop: StopFlag, tick: Callable[[], None]) -> Contract | None:
    """The schema that the settings name, from its file or from the registry; None for strings."""
    if settings.format == "string":
        return None
    if not settings.latest_schema:
        return Contract(read_schema(settings.schema_path))
    from newsroom.schemas.registry import Patience, latest_schema, registry_client  # noqa: PLC0415 - as below

    subject = settings.subject_name
    ask = partial(latest_schema, registry_client(settings, stop, tick), subject)
    latest = Patience(settings.registry_timeout, stop, tick).ask(ask, f"subject {subject}")
    log.info("the subject's latest schema is used as it is", subject=subject, id=latest.number)
    return Contract(latest.schema, latest.number)


def _encoder(
    settings: ProducerSettings, contract: Contract | None, stop: StopFlag, tick: Callable[[], None]
) -> Callable[[Item], Encoded]:
    key = key_policy(settings.key, settings.fixed_key, settings.seed)
    if contract is None:
        return StringRecords(key).encode
    # Imported when the Kafka client connects, and only for Avro: the registry's client takes longer to import.
    from news_producer.registry import schema_id, watch_latest, watch_registered  # noqa: PLC0415
    from newsroom.schemas.avro import AvroEncoder  # noqa: PLC0415
    from newsroom.schemas.registry import Patience, registry_client  # noqa: PLC0415

    schema, number, subject = contract.schema, contract.number, settings.subject_name
    registry = registry_client(settings, stop, tick)
    if number is not None:
        return AvroRecords(schema, AvroEncoder(schema, watch_latest(registry, subject, number).look), key).encode
    may_register = settings.register_schema
    ask = partial(schema_id, registry, subject, schema, may_register=may_register)
    number = Patience(settings.registry_timeout, stop, tick).ask(ask, f"subject {subject}")
    watch = watch_registered(registry, subject, schema, number, may_register=may_register)
    return AvroRecords(schema, AvroEncoder(schema, watch.look), key).encode
