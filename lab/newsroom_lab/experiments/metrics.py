"""What to watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

WATCHED = {
    "kafka_brokers": "brokers",
    "kafka_topic_partition_under_replicated_partition": "under-replicated partitions",
    "kafka_topic_partition_in_sync_replica": "in-sync replicas",
    "kafka_consumergroup_lag_sum": "lag of all groups",
}


def steps(lab: Lab, *, lose: bool = True) -> None:
    """Read the metrics of the status API before, during and after the loss of a broker."""
    before = _metrics(lab)
    lab.step("Take a broker away" if lose else "Do nothing")
    if lose:
        with lab.away("kafka-3"):
            lab.sees("the metrics show it", lambda: _quietly(lab)["kafka_brokers"] < before["kafka_brokers"])
            lab.sees("replicas are missing", lambda: _under_replicated(_quietly(lab)) > 0)
            during = _metrics(lab)
        lab.sees("everything is in sync again", lambda: _under_replicated(_quietly(lab)) == 0)
    else:
        during = _metrics(lab)
    after = _metrics(lab)
    rows = [(name, *(f"{values[metric]:g}" for values in (before, during, after))) for metric, name in WATCHED.items()]
    lab.table("metrics", ("metric", "before", "without kafka-3", "after"), rows)
    missing = _under_replicated(during)
    lab.answer(
        0 if missing else 1,
        f"{missing:g} partitions were under-replicated without kafka-3, {_under_replicated(after):g} after",
    )
    lab.holds("partitions with too few in-sync replicas are seen", missing > 0, f"{missing:g}")
    lab.holds(
        "the lost broker is seen", during["kafka_brokers"] == before["kafka_brokers"] - 1, during["kafka_brokers"]
    )
    lab.holds("all is well at the end", _under_replicated(after) == 0, f"{_under_replicated(after):g}")


def _metrics(lab: Lab) -> dict[str, float]:
    return _sums(lab.ask(f"{lab.ports.status_url}/metrics").text)


def _quietly(lab: Lab) -> dict[str, float]:
    return _sums(lab.quietly_ask(f"{lab.ports.status_url}/metrics").text)


def _sums(text: str) -> dict[str, float]:
    sums = dict.fromkeys(WATCHED, 0.0)
    for family in text_string_to_metric_families(text):
        if family.name in sums:
            sums[family.name] = sum(sample.value for sample in family.samples)
    return sums


def _under_replicated(values: dict[str, float]) -> float:
    return values["kafka_topic_partition_under_replicated_partition"]


EXPERIMENT = Experiment(
    section=Section.MONITORING,
    rows=(40,),
    question="One of three brokers dies. Everything can still be read and written. Which metric shows it?",
    predict=Choice(
        ("under-replicated partitions", "the lag of the consumer groups", "none, because nothing fails"), right=0
    ),
    steps=steps,
    why="""Under-replicated partitions are the first thing to watch: a replica is missing, and the next loss may stop
    writes or lose data. Offline partitions (without leader) and partitions below min.insync.replicas mean that
    something has stopped already, and there must be exactly one active controller. Of consumers watch the lag and
    its age, of brokers rates of requests and bytes, request times and disk. A lag alone shows no loss of replicas,
    and may grow for good reasons.""",
    wrong={"a broker that stands still changes nothing": {"lose": False}},
    disturbs=True,
    terms=("metric", "in-sync replica", "lag"),
)
