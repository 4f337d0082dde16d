"""Rates and sparklines from what the snapshots of the last ten minutes say."""

from dataclasses import replace
from datetime import timedelta

from status_api.history import SAMPLES, STEP_SECONDS, History
from status_api.model import Group, GroupPartition, Snapshot
from unit.status_api.fakes import a_snapshot, a_topic


def at(seconds: float, end: int | None) -> Snapshot:
    topic = a_topic("news", [0 if end is None else end])
    if end is None:
        topic = replace(topic, partitions=(replace(topic.partitions[0], end=None),))
    base = a_snapshot()
    return replace(base, topics=(topic,), collected_at=base.collected_at + timedelta(seconds=seconds))


def filled(*snapshots: tuple[float, int | None]) -> History:
    history = History()
    for seconds, end in snapshots:
        history.add(at(seconds, end))
    return history


def test_a_rate_is_taken_over_the_last_five_seconds() -> None:
    seconds = [(float(second), 10 * second) for second in range(12)]
    assert filled(*seconds).produce_rate("news") == 10.0
    assert filled(*seconds[:5]).produce_rate("news") is None, "too early to say"
    assert filled((0, 0), (5, 0), (9, 0), (10, 50)).produce_rate("news") == 10.0
    assert filled(*seconds).produce_rate("other") is None


def test_what_is_unknown_or_shrank_has_no_rate() -> None:
    assert filled((0, 10), (6, None)).produce_rate("news") is None
    assert filled((0, None), (6, 10)).produce_rate("news") is None
    assert filled((0, 10), (6, 4)).produce_rate("news") is None


def test_the_samples_are_five_seconds_apart_and_ten_minutes_at_most() -> None:
    history = filled(*((float(second), 3 * second) for second in range(0, 1000, 5)))
    rates = history.produce_rates("news")
    assert rates == [3.0] * (SAMPLES - 1)
    assert len(rates) * STEP_SECONDS == 600
    assert history.lags("avro-consumer") == [2.0] * SAMPLES


def test_a_gap_in_the_samples_stays_a_gap_and_what_is_gone_is_forgotten() -> None:
    assert filled((0, 0), (5, 10), (10, None), (15, 30), (20, 50)).produce_rates("news") == [2.0, None, None, 4.0]
    history = filled((0, 0), (5, 10))
    history.add(replace(at(10, 0), topics=(), groups=()))
    assert (history.produce_rates("news"), history.lags("avro-consumer")) == ([], [])
    assert list(history._series) == []


def test_a_topic_that_comes_later_has_its_own_samples() -> None:
    history = History()
    history.add(replace(at(0, 0), topics=()))
    for second in (5, 10, 15):
        history.add(at(second, second * 2))
    assert history.produce_rates("news") == [2.0, 2.0]


def test_how_long_a_group_takes_to_catch_up() -> None:
    history = History()
    for second, committed in ((0, 0), (5, 10), (10, 40)):
        group = Group("g", partitions=(GroupPartition("news", 0, committed, 0, 100),))
        history.add(replace(at(second, 100), groups=(group,)))
    assert (history.commit_rate("g"), history.lag_rate("g"), history.catch_up_seconds("g")) == (6.0, -6.0, 10.0)
    for second, end in ((15, 300), (20, 400)):
        group = Group("g", partitions=(GroupPartition("news", 0, 40, 0, end),))
        history.add(replace(at(second, end), groups=(group,)))
    assert (history.lag_rate("g"), history.catch_up_seconds("g")) == (20.0, None), "it falls behind"
    history.add(replace(at(25, 400), groups=(Group("g", partitions=(GroupPartition("news", 0, 400, 0, 400),)),)))
    assert history.catch_up_seconds("g") == 0.0
    assert history.catch_up_seconds("other") is None
