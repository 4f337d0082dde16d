"""A process that hangs is ended; one that works or closes in time is left alone."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import SimpleQueue

import pytest

from newsroom import health as health_module
from newsroom.health import Health
from newsroom.streams import watchdog as module
from newsroom.streams.watchdog import Watchdog
from newsroom_stack.processes.crew import STOP_SECONDS
from support.waiting import wait_for

SECONDS = 10.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)


def test_a_loop_that_does_not_turn_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "LOOP_STALL_SECONDS", 0.05)
    reasons: SimpleQueue[str] = SimpleQueue()
    with Watchdog(Health(), reasons.put):
        assert reasons.get(timeout=SECONDS).startswith("the loop has not turned for")


def test_a_close_that_hangs_is_ended_whatever_the_loop_does() -> None:
    reasons: SimpleQueue[str] = SimpleQueue()
    with Watchdog(Health(), reasons.put, close_seconds=0.05) as watchdog:
        time.sleep(0.2)
        assert reasons.empty()
        watchdog.closing()
        assert reasons.get(timeout=SECONDS) == "the Kafka clients did not close within 0.05 s"


def test_a_close_that_hangs_says_first_why_the_service_ends() -> None:
    reasons: SimpleQueue[str] = SimpleQueue()
    with Watchdog(Health(), reasons.put, close_seconds=0.05) as watchdog:
        watchdog.closing("the changelog has lost records: delete the folder")
        watchdog.closing()
        said = reasons.get(timeout=SECONDS)
    assert said == "the changelog has lost records: delete the folder; the Kafka clients did not close within 0.05 s"


def test_a_close_in_time_is_left_alone_though_the_loop_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons: SimpleQueue[str] = SimpleQueue()
    health = Health()
    with Watchdog(health, reasons.put) as watchdog:
        watchdog.closing()
        monkeypatch.setattr(health_module, "LOOP_STALL_SECONDS", 0.0)
        time.sleep(0.1)
    assert reasons.empty()


def test_the_process_ends_with_one_and_says_why_and_where_it_hangs() -> None:
    code = (
        "import time; from newsroom.health import Health; from newsroom.streams.watchdog import Watchdog\n"
        "with Watchdog(Health(), close_seconds=0.0) as dog:\n"
        "    dog.closing(); time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "did not close within 0 s: ended by force" in done.stdout
    assert 'File "<string>", line 3 in <module>' in done.stderr


STUCK = """
import signal, sys
from confluent_kafka import Producer
from newsroom.health import Health
from newsroom.streams.watchdog import Watchdog
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda *_: print("handled", flush=True))
producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
producer.produce("t", b"never delivered")
with Watchdog(Health(), close_seconds=float(sys.argv[1])):
    print("stuck", flush=True)
    producer.flush(60)
"""
"""As in an outage: a call of a library that lets other threads run, but no handler of a signal."""


@pytest.fixture
def stuck() -> Iterator[Callable[[float], subprocess.Popen[str]]]:
    """Starts such a process with the seconds that closing may take."""
    with ExitStack() as resources:

        def start(close_seconds: float) -> subprocess.Popen[str]:
            arguments = [sys.executable, "-c", STUCK, str(close_seconds)]
            process = resources.enter_context(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
            assert process.stdout
            assert process.stdout.readline() == "stuck\n"
            time.sleep(0.3)  # it is inside the call
            return process

        yield start


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_starts_the_clock_while_the_main_thread_is_inside_a_library(
    stuck: Callable[[float], subprocess.Popen[str]], number: signal.Signals
) -> None:
    process = stuck(0.2)
    process.send_signal(number)
    assert "did not close within 0.2 s" in process.communicate(timeout=30)[0]
    assert process.returncode == 1


def test_the_second_signal_ends_the_process_while_the_main_thread_is_inside_a_library(
    stuck: Callable[[float], subprocess.Popen[str]],
) -> None:
    process = stuck(60)

    def ended() -> bool:
        process.send_signal(signal.SIGTERM)  # the kernel makes one of two that come close together
        return process.poll() is not None

    wait_for("its end", ended, 30)
    assert process.returncode == 128 + signal.SIGTERM
    assert process.communicate()[0] == ""


def test_output_that_nobody_reads_does_not_keep_it_alive() -> None:
    code = (
        "from newsroom.health import Health; from newsroom.streams.watchdog import Watchdog\n"
        "with Watchdog(Health(), close_seconds=0.5) as dog:\n"
        "    dog.closing()\n"
        "    while True: print('x' * 1000)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.wait(30) == 1


def test_what_heard_signals_before_hears_them_again() -> None:
    ears, mouth = socket.socketpair()
    mouth.setblocking(False)
    before = signal.set_wakeup_fd(mouth.fileno())
    try:
        with Watchdog(Health(), close_seconds=SECONDS):
            pass
        assert signal.set_wakeup_fd(before) == mouth.fileno()
    finally:
        signal.set_wakeup_fd(before)
        ears.close()
        mouth.close()


def test_closing_leaves_time_to_say_why_before_the_stack_kills() -> None:
    assert STOP_SECONDS["service"] > module.CLOSE_SECONDS + 0.5  # half a second is between two looks
