"""Quix as the stream services set it up: configuration, readiness, lost partitions, signals."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import certifi
import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from quixstreams import Application
from quixstreams.kafka.exceptions import KafkaProducerDeliveryError
from quixstreams.models import SerializationContext
from quixstreams.state import StateStoreManager

from newsroom.errors import LastingFailure, RegistryUnavailable, ReplicaFenced, TopicMismatch
from newsroom.health import Health
from newsroom.logs import configure_logging
from newsroom.slots import Slot, take_slot
from newsroom.streams.application import StreamApplication
from newsroom.streams.consumer import PatientConsumer
from newsroom.streams.decoding import Poison, ValueDeserializer, decode_text
from newsroom.streams.replica import NEEDS
from newsroom.streams.settings import StreamSettings
from newsroom.waiting import StopFlag, Stopped, do_nothing

PARTITIONS = [TopicPartition("word-deltas", 0), TopicPartition("changelog__g--word-deltas--default", 0)]


class Bench:
    """What a stream application stands on."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.health = Health(*NEEDS)
        self.stop = StopFlag()

    def application(
        self,
        *,
        watch: Any = None,  # noqa: ANN401
        before_first_commit: Callable[[], None] = do_nothing,
        **values: Any,  # noqa: ANN401
    ) -> StreamApplication:
        settings = StreamSettings(consumer_group="g", state_dir=self.slot.folder, **values)
        return StreamApplication(
            settings,
            self.slot,
            self.slot.folder / "id",
            self.health,
            self.stop,
            poll_seconds=0.1,
            watch=watch,
            before_first_commit=before_first_commit,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with take_slot(tmp_path) as slot:
        yield Bench(slot)


def test_a_replica_keeps_its_transactional_id(bench: Bench) -> None:
    config = bench.application().config
    assert config.exactly_once
    assert config.producer_extra_config["transactional.id"] == "g-0"
    assert 10_000 <= config.producer_extra_config["transaction.timeout.ms"] <= 30_000
    assert config.producer_extra_config["partitioner"] == "murmur2"
    assert config.state_dir == bench.slot.folder / "id"
    assert config.auto_offset_reset == "earliest"
    assert not config.auto_create_topics
    assert not config.auto_recover_from_source_offset_out_of_range


def test_without_transactions_there_is_no_transactional_id(bench: Bench) -> None:
    config = bench.application(delivery="at-least-once").config
    assert not config.exactly_once
    assert "transactional.id" not in config.producer_extra_config
    assert config.producer_extra_config["enable.idempotence"]


@pytest.mark.parametrize(("delivery", "offset"), [("exactly-once", 2**63 - 1), ("at-least-once", 3)])
def test_of_committed_transactions_all_state_is_restored(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, delivery: str, offset: int
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(StateStoreManager, "on_partition_assign", lambda _, **options: given.append(options))
    app = bench.application(delivery=delivery)
    app._state_manager.on_partition_assign(stream_id="s", partition=0, committed_offsets={"word-deltas": 3})
    assert given == [{"stream_id": "s", "partition": 0, "committed_offsets": {"word-deltas": offset}}]


def test_whose_the_outputs_are_is_asked_before_the_first_commit_alone(bench: Bench) -> None:
    asked: list[str] = []
    app = bench.application(before_first_commit=lambda: asked.append("owner"))
    commits: list[bool] = []
    app._processing_context._checkpoint = SimpleNamespace(empty=lambda: False, expired=lambda: True)  # type: ignore[assignment]
    commit = app._after_a_look(lambda **options: commits.append(options["force"]))
    for _ in range(2):
        commit(force=True)
    assert (asked, commits) == (["owner"], [True, True])


@pytest.mark.parametrize(("static", "instance"), [(True, "g-0"), (False, None)])
def test_static_membership_is_the_slots(bench: Bench, *, static: bool, instance: str | None) -> None:
    config = bench.application(static_membership=static, session_timeout=6).config
    assert config.consumer_extra_config.get("group.instance.id") == instance
    assert config.consumer_extra_config["session.timeout.ms"] == 6000
    assert config.consumer_extra_config["heartbeat.interval.ms"] < 500


def test_security_settings_reach_the_clients(bench: Bench) -> None:
    user: dict[str, Any] = {"sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "reader", "sasl_password": "secret"}
    security: dict[str, Any] = {"security_protocol": "SASL_SSL", "ssl_ca_location": certifi.where(), **user}
    app = bench.application(bootstrap_servers="b1:9092,b2:9092", **security)
    for config in (app._consumer._consumer_config, app._producer._producer._producer_config):
        assert config["bootstrap.servers"] == "b1:9092,b2:9092"
        assert config["security.protocol"].upper() == "SASL_SSL"
        assert (config["sasl.mechanism"], config["sasl.username"]) == ("SCRAM-SHA-512", "reader")
        assert config["sasl.password"] == "secret"
        assert config["ssl.ca.location"] == certifi.where()
        assert config["client.id"] == "g-0"


def test_ready_is_assigned_and_restored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.application()
    recovering = True
    monkeypatch.setattr(type(app._state_manager), "recovery_required", property(lambda _: recovering))
    monkeypatch.setattr(Application, "_on_assign", lambda *_: None)
    monkeypatch.setattr(Application, "_on_revoke", lambda *_: None)
    stores = {
        number: {"default": SimpleNamespace(offset=offset, changelog_highwater=2000)}
        for number, offset in enumerate((1499, -2))
    }
    monkeypatch.setattr(app._state_manager._recovery_manager, "_recovery_partitions", stores)
    app.on_statistics("{}")
    app._on_assign(None, PARTITIONS)
    assert bench.health.ready()[1]["missing"] == {"state": "restoring the state from its changelog: at 1,500 of 4,000"}
    recovering = False
    app.on_statistics("{}")
    assert bench.health.ready()[0]
    app._on_revoke(None, PARTITIONS)
    assert not bench.health.ready()[0]


def test_statistics_prove_that_the_loop_turns(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.application()
    ticks: list[int] = []
    monkeypatch.setattr(bench.health, "tick", lambda: ticks.append(1))
    app._consumer._stats_cb("{}")
    assert ticks == [1]


def test_a_replica_that_waits_for_its_place_looks_for_what_it_was_before(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = bench.application()
    members: list[str] = []
    monkeypatch.setattr(app._consumer, "memberid", lambda: "g-0-now")
    monkeypatch.setattr(app._joining, "remove_former", members.append)
    for name in ("_on_assign", "_on_revoke", "_on_lost"):
        monkeypatch.setattr(Application, name, do_nothing)

    def looked() -> bool:
        members.clear()
        app.on_statistics("{}")
        return members == ["g-0-now"]

    app._joining.begin()
    assert looked()
    app._on_assign(None, PARTITIONS)
    assert not looked()
    app._on_revoke(None, PARTITIONS)
    assert looked()
    app._on_assign(None, PARTITIONS)
    with pytest.raises(ReplicaFenced):
        app._on_lost(None, PARTITIONS)
    assert looked()


def test_lost_partitions_end_the_replica(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.application()
    dropped: list[Any] = []
    monkeypatch.setattr(Application, "_on_lost", lambda _app, _consumer, partitions: dropped.extend(partitions))
    with pytest.raises(ReplicaFenced):
        app._on_lost(None, PARTITIONS)
    assert dropped == PARTITIONS
    assert not bench.health.ready()[0]


def test_quix_still_calls_what_we_override() -> None:
    assert {"_on_assign", "_on_revoke", "_on_lost", "_on_sigint"} <= set(vars(Application))


def test_it_runs_with_a_patient_consumer_that_a_stop_ends(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.application()
    monkeypatch.setattr(Application, "run", lambda app: app.stop())
    app.run_watched(lambda error: error)
    consumer = app._consumer._consumer
    assert isinstance(consumer, PatientConsumer)
    assert bench.stop
    consumer.close()


def test_the_first_error_is_the_reason_however_the_clients_close(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.application()
    denied = LastingFailure("user u may not WRITE transactional-id g-0")

    def run(app: StreamApplication) -> None:
        app._exception_handler(type(denied), denied, None)
        raise KafkaException(KafkaError(KafkaError._DESTROY, "Broker handle destroyed for termination"))

    monkeypatch.setattr(Application, "run", run)
    with pytest.raises(LastingFailure, match="transactional-id g-0"):
        app.run_watched(lambda error: error)
    app._consumer._consumer.close()


CONTEXT = SerializationContext("news", "value")


def test_poison_is_a_value_but_a_silent_registry_is_not() -> None:
    assert isinstance(ValueDeserializer(decode_text)(b"\xff", CONTEXT), Poison)
    assert ValueDeserializer(decode_text)("č".encode(), CONTEXT) == "č"

    def decode(_: bytes, __: object) -> None:
        raise RegistryUnavailable("no answer")

    with pytest.raises(RegistryUnavailable):
        ValueDeserializer(decode)(b"", CONTEXT)


def test_the_record_it_stops_at_is_named(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("svc")
    app = bench.application()
    row = SimpleNamespace(topic="news", partition=2, offset=7)
    message = SimpleNamespace(topic=lambda: "news", partition=lambda: 3, offset=lambda: 8)
    assert not app._on_processing_error(RegistryUnavailable("x"), row, None)  # type: ignore[arg-type]
    assert not app._consumer._on_error(RegistryUnavailable("x"), message, None)  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert not app._consumer._on_error(Stopped("x"), message, None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "", "a signal is not an error"
    assert "partition=2" in out
    assert "offset=8" in out
    late = KafkaProducerDeliveryError(KafkaError(KafkaError._TIMED_OUT))
    assert not app._on_processing_error(late, row, None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == "", "after an interruption the replica continues"


def test_a_stop_from_before_the_run_is_noticed(bench: Bench) -> None:
    app = bench.application()
    app._run_tracker.set_as_running()  # type: ignore[no-untyped-call]
    app.on_statistics("{}")
    assert app._run_tracker.running
    bench.stop.set()
    app.on_statistics("{}")
    assert not app._run_tracker.running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_leaves_signals_as_they_were(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    app = bench.application()
    handlers = [signal.getsignal(stop_signal) for stop_signal in (signal.SIGTERM, signal.SIGINT)]

    def run(app: StreamApplication) -> None:
        app._setup_signal_handlers()  # type: ignore[no-untyped-call]
        app._run_tracker.set_as_running()  # type: ignore[no-untyped-call]
        os.kill(os.getpid(), number)
        assert not app._run_tracker.running
        # Python's own handler would race the watchdog to the second signal, with a stack trace.
        assert signal.getsignal(number) not in {signal.default_int_handler, signal.SIG_DFL}

    monkeypatch.setattr(Application, "run", run)
    app.run_watched(lambda error: error)
    app._consumer._consumer.close()
    assert [signal.getsignal(stop_signal) for stop_signal in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert signal.set_wakeup_fd(-1) == -1


TWICE = """
import os, signal, sys, time
from pathlib import Path
from quixstreams import Application
from newsroom.health import Health
from newsroom.waiting import StopFlag
from newsroom.slots import take_slot
from newsroom.streams.application import StreamApplication
from newsroom.streams.settings import StreamSettings

def run(app):
    app._setup_signal_handlers()
    for _ in range(2):
        os.kill(os.getpid(), int(sys.argv[2]))
        time.sleep(0.3)
    time.sleep(60)

Application.run = run
root = Path(sys.argv[1])
slot = take_slot(root)
settings = StreamSettings(consumer_group="g", state_dir=root)
StreamApplication(settings, slot, slot.folder, Health(), StopFlag(), poll_seconds=0.1).run_watched(lambda error: error)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_ends_at_once_without_a_stack_trace(tmp_path: Path, number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(tmp_path), str(int(number))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stdout + done.stderr


class Watch:
    """Notes when the topics are looked at; one of them is not what it was."""

    def __init__(self) -> None:
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        raise TopicMismatch("topic word was given 8 partitions")


def test_topics_are_looked_at_before_results_are_committed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch()
    app = bench.application(watch=watch)
    context = app._processing_context
    committed: list[bool] = []
    checkpoint = SimpleNamespace(
        expired=lambda: True, empty=lambda: True, close=lambda **_: None, commit=lambda **_: committed.append(True)
    )
    monkeypatch.setattr(context, "_checkpoint", checkpoint)
    monkeypatch.setattr(context, "init_checkpoint", lambda: None)
    context.commit_checkpoint()
    assert watch.checks == 0
    checkpoint.empty = lambda: False
    with pytest.raises(TopicMismatch, match="8 partitions"):
        context.commit_checkpoint()
    assert committed == []


def test_consumers_notice_new_partitions_within_half_a_minute(bench: Bench) -> None:
    assert bench.application().config.consumer_extra_config["topic.metadata.refresh.interval.ms"] <= 30_000
