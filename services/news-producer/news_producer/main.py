"""Wires news-producer together: settings, sources, schema, sender and loop."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from news_producer.errors import FeedUnavailable
from news_producer.feeds import FeedSource
from news_producer.headlines import headlines
from news_producer.inputs import BadLines, read_file
from news_producer.ledger import Ledger, LedgerMetrics
from news_producer.pump import Pace, interleave, pump
from news_producer.records import AvroRecords, Encoded, Item, StringRecords, key_policy, lab_items
from news_producer.registry import schema_id
from news_producer.sender import NEED, Sender
from news_producer.settings import FEED_SCHEMES, GENERATOR, LAB, ProducerSettings
from newsroom.errors import NewsroomError
from newsroom.health import Health, HealthServer
from newsroom.lifecycle import log_error
from newsroom.logs import get_logger
from newsroom.schemas.avro import AvroEncoder, read_schema
from newsroom.schemas.registry import Patience, registry_client
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from newsroom.waiting import StopFlag

NAME = "news-producer"

log = get_logger(__name__)


def run(settings: ProducerSettings, stop: StopFlag) -> int:
    """Send the records that the settings describe; the exit code is 1 if a record failed."""
    health = Health(NEED)
    bad = BadLines(skip=settings.skip_bad_lines)
    with HealthServer(health, settings.http_host, settings.http_port):
        feeds: list[FeedSource] = []
        items = interleave([_open(source, settings, stop, bad, feeds) for source in settings.sources])
        try:
            encode = _encoder(settings, Patience(settings.registry_timeout, stop, health.tick))
        except Stopped:
            _log_account(Ledger(settings.topic_name), bad)
            raise
        sender = Sender(
            settings.client(NAME),
            settings.topic_name,
            message_timeout=settings.message_timeout,
            stop=stop,
            health=health,
        )
        with _published(sender.ledger):
            return _send_all(settings, items=items, encode=encode, sender=sender, stop=stop, bad=bad, feeds=feeds)


def _send_all(
    settings: ProducerSettings,
    *,
    items: Iterator[Item | None],
    encode: Callable[[Item], Encoded],
    sender: Sender,
    stop: StopFlag,
    bad: BadLines,
    feeds: list[FeedSource],
) -> int:
    code = 0
    try:
        sender.wait_for_topic()
        pump(
            items,
            encode,
            sender,
            stop=stop,
            bad=bad,
            pace=Pace(settings.rate),
            limit=settings.count,
            flush_each=settings.flush == "each",
            announce=_announce if settings.sources == (LAB,) else None,
        )
        sender.close()
        sender.check()
        if settings.once and (problems := [feed.problem for feed in feeds if feed.problem]):
            raise FeedUnavailable("; ".join(problems))
    except NewsroomError as error:
        sender.close()
        # Log the error here and not in run_service, because the run's account must be the last line.
        log_error(error)
        code = error.exit_code
    except Stopped:
        log.info("the producer stopped before it sent a record")
    _log_account(sender.ledger, bad)
    return code


def _log_account(book: Ledger, bad: BadLines) -> None:
    skipped = {"skipped": bad.skipped} if bad.skipped else {}
    log.info(
        "finished",
        topic=book.topic,
        sent=book.sent,
        delivered=book.delivered,
        failed=book.failed,
        partitions=book.partitions(),
        **skipped,
    )


def _open(
    source: str, settings: ProducerSettings, stop: StopFlag, bad: BadLines, feeds: list[FeedSource]
) -> Iterator[Item | None]:
    if source == LAB and settings.format == "string" and not settings.source:
        return lab_items(settings.rounds)
    if source == GENERATOR:
        return headlines(settings.seed)
    if source.startswith(FEED_SCHEMES):
        feed = FeedSource(source, interval=settings.poll_interval, once=settings.once, stop=stop)
        feeds.append(feed)
        return feed.items()
    return read_file(source, settings.input_format, settings.format, bad)


def _encoder(settings: ProducerSettings, patience: Patience) -> Callable[[Item], Encoded]:
    key = key_policy(settings.key, settings.fixed_key)
    if settings.format == "string":
        return StringRecords(key).encode
    schema = read_schema(settings.schema_path)
    subject = settings.subject_name
    ask = partial(schema_id, registry_client(settings), subject, schema, may_register=settings.register_schema)
    number = patience.ask(ask, f"subject {subject}")
    return AvroRecords(schema, AvroEncoder(schema, number), key).encode


def _announce(item: Item) -> None:
    sentence = f'Sending message with key "{item.key}" and value "{item.fields["value"]}"'
    log.info(sentence)


@contextmanager
def _published(ledger: Ledger) -> Iterator[None]:
    metrics = LedgerMetrics(ledger)
    REGISTRY.register(metrics)
    try:
        yield
    finally:
        REGISTRY.unregister(metrics)
