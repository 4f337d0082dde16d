"""How a group shares the partitions."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab
    from newsroom_lab.programs import Running


def steps(lab: Lab, *, groups: int = 1) -> None:
    """Start one consumer, then two more, then kill one; draw who owned which partition when."""
    topic = lab.topic(partitions=6)
    names = [lab.group(str(number)) for number in range(groups)]
    state = lab.folder()
    start = time.time()

    def member(number: int) -> tuple[str, ...]:
        group = names[number % groups]
        place = ("--topic", topic, "--group", group, "--state-dir", str(state / group))
        return ("avro-consumer", *place, "--format", "string", "--session-timeout", "3")

    with ExitStack() as running:
        lab.step("Start one consumer")
        consumers = [running.enter_context(lab.running(*member(0)))]
        lab.until("it owns all six partitions", lambda: len(_owned(consumers[0])) == 6)
        lab.step("Start two more")
        consumers += [running.enter_context(lab.running(*member(number))) for number in (1, 2)]
        shared = lab.sees(
            "the three share the partitions",
            lambda: sorted(len(_owned(consumer)) for consumer in consumers) == [2, 2, 2],
            20,
        )
        owned = sorted(len(_owned(consumer)) for consumer in consumers)
        lab.step("Kill one of them")
        consumers[0].kill()
        taken = lab.sees(
            "the others take its partitions", lambda: [len(_owned(c)) for c in consumers[1:]] == [3, 3], 20
        )
    end = time.time()
    lanes = {f"partition {number}": _spans(consumers, number, start, end) for number in range(6)}
    lab.lanes("who owned what", end - start, lanes)
    lab.answer(owned[0], f"three members own {', '.join(map(str, owned))} of six partitions")
    lab.holds("each partition has one owner: three members own two each", shared, f"{owned}")
    lab.holds("the partitions of a killed member go to the others", taken)


def _owned(consumer: Running) -> set[int]:
    """The partitions that the consumer's last line about them names."""
    lines = consumer.moments(OWNED)
    return {int(number) for number in re.findall(r"\d+", lines[-1][1][1])} if lines else set()


OWNED = r"partitions (?:assigned|revoked|lost).* owned=\[([\d, ]*)\]"


def _spans(consumers: list[Running], partition: int, start: float, end: float) -> list[tuple[float, float, str]]:
    spans = []
    for number, consumer in enumerate(consumers, 1):
        since: float | None = None
        for moment, match in consumer.moments(OWNED):
            owns = str(partition) in re.findall(r"\d+", match[1])
            if owns and since is None:
                since = moment
            elif not owns and since is not None:
                spans.append((since - start, moment - start, f"member {number}"))
                since = None
        if since is not None:
            spans.append((since - start, (consumer.ended or end) - start, f"member {number}"))
    return spans


EXPERIMENT = Experiment(
    section=Section.SCALING,
    rows=(41,),
    question="Three consumers of one group read a topic with six partitions. How many partitions does each own?",
    predict=Number("partitions"),
    steps=steps,
    why="""Within a group each partition has one owner at a time, so members share the partitions, and a record is
    processed by one of them. More members than partitions are idle. When members come, go or die the group
    rebalances; with the cooperative protocol only the partitions that move are without owner for a moment. A
    killed member says nothing: its partitions wait for the end of its session (session.timeout.ms).""",
    wrong={"each consumer has a group of its own": {"groups": 3}},
    terms=("consumer group", "partition", "rebalance"),
)
