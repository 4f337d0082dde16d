"""How far a group is behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, stop: bool = True) -> None:
    """Stop a consumer, send, look at the lag, and start it again."""
    topic, group = lab.topic(), lab.group()
    command = lab.consumer(topic, group, "--format", "string")
    lab.step("A consumer reads, and 42 records come")
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lags = []
    with lab.running(*command) as consumer:
        lab.until("it has read everything", lambda: lab.lag(group, topic) == 0)
        lags.append(lab.lag(group, topic))
        if stop:
            lab.step("Stop it, and send 42 more")
            consumer.stop()
        lab.run("news-producer", "--format", "string", "--topic", topic)
        lab.sees("the lag is known", lambda: lab.lag(group, topic) == 42, 4)
        lags.append(lab.lag(group, topic))
    tool = lab.kafka("consumer-groups", "--describe", "--group", group)
    figure = int(tool.search(rf"{topic}\s+0\s+\d+\s+\d+\s+(\d+)")[1])
    lab.step("Start it again")
    with lab.running(*command):
        lab.until("it has caught up", lambda: lab.lag(group, topic) == 0)
        lags.append(lab.lag(group, topic))
    lab.bars(
        "lag of the group, in records", dict(zip(("reading", "stopped, 42 sent", "reading again"), lags, strict=True))
    )
    lab.answer(lags[1], f"the lag went {' → '.join(map(str, lags))}")
    lab.holds("the lag grows by what was sent while nobody read", lags == [0, 42, 0], f"{lags}")
    lab.holds("Kafka's own tool says the same", figure == lags[1], f"it says {figure}")


EXPERIMENT = Experiment(
    section=Section.CONSUMER,
    rows=(17, 18),
    question=(
        "A group has read everything. Its only consumer stops, and 42 records are sent. What is the group's lag?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""Lag is the end of each partition minus the group's committed offset, summed. It needs no consumer: both
    numbers are kept by the brokers. A lag that grows means that the group is slower than the producers, or
    does not run; one that stays the same is no trouble in itself.""",
    wrong={"the consumer keeps on reading": {"stop": False}},
    terms=("lag", "committed offset"),
)
