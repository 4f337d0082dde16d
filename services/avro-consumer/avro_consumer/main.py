"""Builds the avro-consumer from its settings: clients, sink, loop."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from avro_consumer.dead_letters import DeadLetters
from avro_consumer.delivery import AtLeastOnce, AtMostOnce, Delivery, ExactlyOnce, Uncommitted
from avro_consumer.effect import Effect
from avro_consumer.loop import Loop
from avro_consumer.member import MEMBERSHIP, Member
from avro_consumer.records import AvroFormat, StringFormat
from avro_consumer.sink import JsonLinesSink, sink_path
from newsroom.health import Health, HealthServer
from newsroom.schemas.addresses import check_addresses
from newsroom.slots import Slot, take_slot
from newsroom.topic_watch import TopicWatch
from newsroom.topics import NEWS, NEWS_TYPE
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avro_consumer.database import Database
    from avro_consumer.settings import AvroConsumerSettings
    from newsroom.waiting import StopFlag

GARBAGE_THRESHOLD = 100_000
"""New objects before the collector looks for cycles. Python's default is 700."""


def serve(settings: AvroConsumerSettings, stop: StopFlag) -> None:
    """Run the consumer until the stop flag is set or the loop finishes.

    Raises:
        NewsroomError: the consumer cannot continue.
    """
    # A batch is thousands of tuples without cycles. Python's collector would look at each of them several times.
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    health = Health(MEMBERSHIP)
    reader_schema = _checked(settings)
    with ExitStack() as resources:
        resources.enter_context(HealthServer(health, settings.http_host, settings.http_port))
        slot = _slot(settings, resources)
        sink = None
        if settings.sink is not None and slot is not None:
            sink = resources.enter_context(JsonLinesSink(sink_path(settings.sink, slot.number)))
        database = _database(settings, stop, health, resources)
        # The member is closed first: its revoke callback commits what the sink and the dead letters have stored.
        config = settings.member_config(slot.number if slot else None)
        watch = TopicWatch(settings.client_config("avro-consumer-watch"), [settings.source])
        member = resources.enter_context(
            Member(config, settings.source, health, watch=watch, claims=database, stop=stop)
        )
        member.wait_for_topic(Deadline(settings.start_timeout), stop)
        if settings.until_end:
            member.remember_ends()
        form = StringFormat() if settings.format == "string" else _avro(settings, reader_schema, stop, health)
        poison = _dead_letters(settings, stop, health)
        effect = Effect(form, poison, sink, as_fields=settings.log_format == "json")
        start = Deadline(settings.start_timeout)
        member.subscribe()
        Loop(
            settings,
            start=start,
            source=member,
            form=form,
            delivery=_delivery(settings, member, effect, database, stop),
            health=health,
            stop=stop,
        ).run()


def _checked(settings: AvroConsumerSettings) -> Mapping[str, Any] | None:
    """Say what is wrong with the settings before anything is waited for; return the reader schema."""
    if settings.format == "avro":
        check_addresses(settings.registry_url)
        if settings.reader_schema is not None:
            from newsroom.schemas.files import read_schema  # noqa: PLC0415 - fastavro, which strings do without

            return read_schema(settings.reader_schema)
    return None


def _dead_letters(settings: AvroConsumerSettings, stop: StopFlag, health: Health) -> DeadLetters:
    return DeadLetters(
        settings.producer_config("avro-consumer-dlq"),
        settings.dlq_topic,
        settings.group_id,
        settings.dlq_timeout,
        stop=stop,
        tick=health.tick,
    )


def _delivery(
    settings: AvroConsumerSettings, member: Member, effect: Effect, database: Database | None, stop: StopFlag
) -> Delivery:
    if database is not None:
        return ExactlyOnce(member, effect, database)
    if settings.delivery == "at-least-once":
        return AtLeastOnce(member, effect)
    return AtMostOnce(member, effect, stop) if settings.delivery == "at-most-once" else Uncommitted(effect)


def _database(settings: AvroConsumerSettings, stop: StopFlag, health: Health, resources: ExitStack) -> Database | None:
    if settings.delivery != "exactly-once":
        return None
    from avro_consumer.database import Database  # noqa: PLC0415 - SQLAlchemy takes longer to import than the rest

    database = resources.enter_context(
        Database(
            settings.database_url,
            settings.group_id,
            settings.source,
            seconds=settings.database_timeout,
            stop=stop,
            tick=health.tick,
        )
    )
    database.create_tables()
    return database


def _slot(settings: AvroConsumerSettings, resources: ExitStack) -> Slot | None:
    if settings.sink is None and not settings.static_membership:
        return None
    return resources.enter_context(take_slot(settings.state_dir))


def _avro(
    settings: AvroConsumerSettings, reader_schema: Mapping[str, Any] | None, stop: StopFlag, health: Health
) -> AvroFormat:
    # Imported when a broker has answered: the registry's client takes longer to import than Kafka's.
    from newsroom.schemas.avro import AvroDecoder  # noqa: PLC0415
    from newsroom.schemas.registry import Patience, check_registry, registry_client  # noqa: PLC0415

    registry = registry_client(settings, stop, health.tick)
    patience = Patience(settings.registry_timeout, stop, health.tick)
    # Check the address now, before the first record depends on it.
    patience.ask(partial(check_registry, registry), f"topic {settings.source}")
    expected = NEWS_TYPE if settings.source == NEWS.name else None
    return AvroFormat(AvroDecoder(registry, reader_schema, topic=settings.source, patience=patience, expected=expected))
