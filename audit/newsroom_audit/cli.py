"""The commands of `newsroom-audit`. The connection comes from the `NEWSROOM_…` variables that every service reads."""

from __future__ import annotations

import json
import sys
import warnings
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from confluent_kafka import KafkaException
from pydantic import ValidationError

from newsroom.errors import DecodeError, NewsroomError
from newsroom.kafka_errors import reason_of
from newsroom.places import packaged
from newsroom.proxies import ask_no_proxy_for_loopback
from newsroom.settings import KafkaSettings
from newsroom.terminal import tolerate_any_terminal
from newsroom.topics import MYTOPIC, NEWS, NEWS_SUBJECT
from newsroom.waiting import StopFlag
from newsroom_audit.checks.gaps import Fault
from newsroom_audit.errors import AuditError
from newsroom_audit.history import json_lines, read_samples
from newsroom_audit.judge import OUTPUTS, STAGES, Case, judge
from newsroom_audit.ledger import read_ledger
from newsroom_audit.load import Load, articles, common_words, unique_words
from newsroom_audit.reader import ClusterReader

with warnings.catch_warnings(record=True):
    # A library below the registry's client warns of a rename that nobody here can do anything about.
    from newsroom.schemas.avro import AvroDecoder, AvroEncoder
    from newsroom.schemas.files import read_schema
    from newsroom.schemas.registry import Patience, register, registry_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from threading import Event

    from confluent_kafka.schema_registry import SchemaRegistryClient

    from newsroom_audit.history import Record

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

REGISTRY_SECONDS = 60.0

Bootstrap = Annotated[str | None, typer.Option("--bootstrap-servers", help="brokers, else NEWSROOM_BOOTSTRAP_SERVERS")]

Registry = Annotated[str | None, typer.Option("--registry-url", help="schema registry, else NEWSROOM_REGISTRY_URL")]


def main() -> None:
    """Run a command: exit code 1 if the audit found something wrong, 2 if it could not be made."""
    tolerate_any_terminal()
    ask_no_proxy_for_loopback()
    try:
        app()
    except NewsroomError as error:
        sys.stderr.write(f"newsroom-audit: {error}\n")
        sys.exit(AuditError.exit_code)
    except KafkaException as error:
        sys.stderr.write(f"newsroom-audit: the Kafka client cannot go on: {reason_of(error)}\n")
        sys.exit(AuditError.exit_code)


@app.command("judge")
def judge_command(
    *,
    bootstrap: Bootstrap = None,
    registry: Registry = None,
    ledger: Annotated[list[Path] | None, typer.Option(help="what a load has sent; repeat it for each one")] = None,
    samples: Annotated[list[Path] | None, typer.Option(help="what watch has written")] = None,
    sink: Annotated[list[Path] | None, typer.Option(help="sink files of avro-consumer, or their folder")] = None,
    log: Annotated[list[Path] | None, typer.Option(help="log files")] = None,
    allowed: Annotated[str | None, typer.Option(help="pattern of log lines that are expected")] = None,
    faults: Annotated[list[Path] | None, typer.Option(help="JSON lines with name, start and end of each fault")] = None,
    exclusive: Annotated[list[str] | None, typer.Option(help="topic that only the ledgers' senders write")] = None,
    compacted: Annotated[bool, typer.Option("--compacted", help="the broker may have compacted word-counts")] = False,
    patience: Annotated[float, typer.Option(help="seconds to wait for the groups to pass what is there")] = 60.0,
    gap_pattern: Annotated[str | None, typer.Option(help="tell the gaps between log lines that match it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="write the report as JSON")] = False,
) -> None:
    """Audit a running cluster, and ledgers, sink files, samples and logs."""
    case = Case(
        ledgers=[read_ledger(path) for path in ledger or ()],
        samples=[sample for path in samples or () for sample in read_samples(path)],
        sinks=[file for path in sink or () for file in _sink_files(path)],
        logs=log or (),
        allowed=allowed,
        gap_pattern=gap_pattern,
        faults=[fault for path in faults or () for fault in _faults(path)],
        exclusive=frozenset(exclusive or ()),
        compacted=compacted,
        patience=patience,
    )
    settings = _settings(bootstrap_servers=bootstrap, registry_url=registry)
    with ClusterReader(settings, _say) as reader, registry_client(settings) as client:
        report = judge(reader, case, news_decoder(client))
    for line in [json.dumps(report.as_json(), indent=2)] if as_json else report.lines():
        sys.stdout.write(f"{line}\n")
    raise typer.Exit(report.exit_code)


@app.command()
def load(
    *,
    ledger: Annotated[Path, typer.Option(help="file to write: what was sent, and what became of it")],
    bootstrap: Bootstrap = None,
    registry: Registry = None,
    topic: Annotated[str, typer.Option(help="topic to write to; news gets articles in Avro")] = MYTOPIC.name,
    number: Annotated[int | None, typer.Option("--count", help="records to send; else until Ctrl-C")] = None,
    rate: Annotated[float, typer.Option(help="records per second; 0 sends as fast as possible")] = 100.0,
    vocabulary: Annotated[int, typer.Option(help="draw words from so many; 0: every word is unique")] = 0,
    words: Annotated[int, typer.Option(help="words per record, with a vocabulary")] = 1,
    seed: Annotated[int, typer.Option(help="makes the words repeatable")] = 0,
) -> None:
    """Send words or articles at a rate, and keep a ledger of them."""
    stop = StopFlag()
    stop.install()
    settings = _settings(bootstrap_servers=bootstrap, registry_url=registry)
    with Load(settings, ledger, seed=seed, stop=stop) as sender:
        if topic == NEWS.name:
            with registry_client(settings) as client:
                items = articles(sender.run, news_encoder(client), number)
        elif vocabulary:
            items = common_words(sender.run, number, vocabulary=vocabulary, words=words, seed=seed, topic=topic)
        else:
            items = unique_words(sender.run, number, topic)
        sender.send(items, rate)
    _say(f"{sender.sent:,} sent, {sender.acknowledged:,} acknowledged, {sender.failed:,} failed: {ledger}")
    raise typer.Exit(0 if sender.acknowledged == sender.sent else 1)


@app.command()
def watch(
    *,
    samples: Annotated[Path, typer.Option(help="file to append to")],
    bootstrap: Bootstrap = None,
    interval: Annotated[float, typer.Option(help="seconds between two samples")] = 1.0,
) -> None:
    """Sample committed offsets and the ends of the outputs until Ctrl-C."""
    stop = StopFlag()
    stop.install()
    with ClusterReader(_settings(bootstrap_servers=bootstrap)) as reader:
        sample_until(stop, reader, samples, interval)


def sample_until(stop: Event, reader: ClusterReader, path: Path, interval: float = 1.0) -> None:
    """Append a sample to a file at each interval until the flag is set. What no broker answers is left out.

    Raises:
        AuditError: the file cannot be written.
    """
    with ExitStack() as resources:
        try:
            file = resources.enter_context(path.open("a", buffering=1, encoding="utf-8"))
        except OSError as error:
            raise AuditError(f"the samples {path} cannot be written: {error.strerror}") from error
        groups: dict[str, list[str]] = {}
        for group, topic in STAGES:
            groups.setdefault(group, []).append(topic)
        while not stop.is_set():
            try:
                file.write(reader.sample(groups, OUTPUTS).as_json() + "\n")
            except AuditError as error:
                _say(str(error))
            stop.wait(interval)


def news_decoder(registry: SchemaRegistryClient) -> Callable[[Record], dict[str, Any] | None]:
    """Return a function that decodes a record of `news`, or gives None if it is poison."""
    decoder = AvroDecoder(registry, topic=NEWS.name, patience=Patience(REGISTRY_SECONDS, StopFlag()))

    def decode(record: Record) -> dict[str, Any] | None:
        try:
            return decoder.decode(record.value).fields
        except DecodeError:
            return None

    return decode


def news_encoder(registry: SchemaRegistryClient) -> Callable[[Mapping[str, Any]], bytes]:
    """Return a function that encodes an article as news-producer does; the schema is registered first."""
    schema = read_schema(packaged("schemas", "news.avsc"))
    patience = Patience(REGISTRY_SECONDS, StopFlag())
    number = patience.ask(lambda: register(registry, NEWS_SUBJECT, schema), NEWS_SUBJECT)
    return AvroEncoder(schema, number).encode


def _settings(**values: str | None) -> KafkaSettings:
    try:
        return KafkaSettings(**{name: value for name, value in values.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise AuditError(f"the settings of the connection are not complete: {problems}") from error


def _sink_files(path: Path) -> list[Path]:
    files = sorted(path.glob("consumed-*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise AuditError(f"the folder {path} has no sink file (consumed-*.jsonl)")
    return files


def _faults(path: Path) -> Iterator[Fault]:
    for number, line in enumerate(json_lines(path), 1):
        try:
            yield Fault(str(line["name"]), float(line["start"]), float(line["end"]))
        except (KeyError, TypeError, ValueError) as error:
            raise AuditError(f"{path} line {number} is not a fault with name, start and end ({error!r})") from error


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
