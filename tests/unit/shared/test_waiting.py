"""The one way to wait: what ends it, what it says, how it pauses."""

import signal

import pytest
from typing_extensions import override

from newsroom.errors import ClusterUnavailable, NotYet, RegistryUnavailable
from newsroom.waiting import STOP_SIGNALS, Deadline, StopFlag, Stopped, Wait, need


class Pauses(StopFlag):
    """A stop flag that notes the pauses instead of waiting; `ends_after` pauses it is set."""

    def __init__(self, ends_after: int | None = None) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._ends_after = ends_after

    @override
    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        if len(self.seconds) == self._ends_after:
            self.set()
        return bool(self)


@pytest.mark.parametrize("number", sorted(STOP_SIGNALS))
def test_each_stop_signal_sets_the_flag(number: signal.Signals) -> None:
    before = {signal_number: signal.getsignal(signal_number) for signal_number in STOP_SIGNALS}
    flag = StopFlag()
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        flag.install()
        signal.raise_signal(number)
        assert flag
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        flag.install()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "as `nohup` asked"
    finally:
        for signal_number, handler in before.items():
            signal.signal(signal_number, handler)


def failing(times: int, error: Exception) -> list[Exception]:
    return [error] * times


def attempt_with(failures: list[Exception]) -> str:
    if failures:
        raise failures.pop()
    return "the answer"


def test_it_asks_again_with_growing_pauses_and_gives_the_answer() -> None:
    pauses, failures = Pauses(), failing(6, NotYet("no leader"))
    wait = Wait(Deadline(1000), pauses, first_pause=1, longest_pause=5)
    assert wait.until(lambda: attempt_with(failures), ClusterUnavailable) == "the answer"
    assert pauses.seconds == [1, 2, 4, 5, 5, 5]


def test_any_error_that_may_pass_is_asked_again_and_others_are_raised() -> None:
    failures: list[Exception] = [KeyError("lasting"), RegistryUnavailable("starting")]
    with pytest.raises(KeyError):
        Wait(Deadline(1000), Pauses()).until(lambda: attempt_with(failures), ClusterUnavailable)
    assert failures == []


def test_the_deadline_ends_it_with_what_was_last_missing() -> None:
    attempts: list[None] = []

    def attempt() -> None:
        attempts.append(None)
        raise NotYet(f"{len(attempts)} of 3 brokers are up")

    with pytest.raises(ClusterUnavailable, match=r"^late: 1 of 3 brokers are up$"):
        Wait(Deadline(0)).until(attempt, lambda missing: ClusterUnavailable(f"late: {missing}"))


@pytest.mark.parametrize("when", ["before", "during a pause"])
def test_a_signal_ends_it_and_says_what_was_missing(when: str) -> None:
    stop = Pauses(ends_after=2)
    if when == "before":
        stop.set()
    with pytest.raises(Stopped, match="no leader"):
        Wait(Deadline(1000), stop).until(lambda: need("no leader"), ClusterUnavailable)
    assert len(stop.seconds) == (0 if when == "before" else 2)


def test_the_loop_ticks_before_each_pause() -> None:
    ticks: list[None] = []
    failures = failing(3, NotYet("x"))
    Wait(Deadline(1000), Pauses(), lambda: ticks.append(None)).until(lambda: attempt_with(failures), ClusterUnavailable)
    assert len(ticks) == 3
