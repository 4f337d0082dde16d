"""What a sink connector has in common with every consumer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.connecting import FileSink
from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

ROUND = 42


def steps(lab: Lab, *, forget: bool = True) -> None:
    """Find the connector's group, then stop the connector, delete its offsets and let it go on."""
    topic = lab.topic(partitions=5)
    sink = FileSink(lab, topic)
    sink.create()
    lab.run("news-producer", "--format", "string", "--topic", topic)
    lab.until(f"{ROUND} lines", lambda: len(sink.lines()) >= ROUND, 60)
    lab.passed(sink.group, topic)
    lab.step("Look at the groups of the cluster")
    known = sink.group in lab.kafka("consumer-groups", "--list").lines
    lag = lab.lag(sink.group, topic)
    lab.step("Stop the connector" + (", delete its offsets" if forget else "") + ", and let it go on")
    lab.ask(f"{sink.url}/stop", "PUT")
    lab.until("it has stopped", lambda: sink.state() == "STOPPED" and not sink.tasks())
    if forget:
        lab.ask(f"{sink.url}/offsets")
        lab.until("its offsets are deleted", lambda: lab.quietly_ask(f"{sink.url}/offsets", "DELETE").is_success)
    lab.ask(f"{sink.url}/resume", "PUT")
    lab.sees("it writes again", lambda: len(sink.lines()) >= 2 * ROUND, 20)
    lab.passed(sink.group, topic)
    lines = len(sink.lines())
    lab.answer(lines, f"group {sink.group} had lag {lag}; the file went from {ROUND} to {lines} lines")
    lab.holds("the connector's group is connect-NAME", known, sink.group)
    lab.holds("without its offsets it writes everything again", lines == 2 * ROUND, f"{lines} lines")


EXPERIMENT = Experiment(
    section=Section.CONNECT,
    rows=(31,),
    question=(
        "A file connector has written 42 records. It is stopped, its offsets are deleted through Connect's REST "
        "interface, and it goes on. How many lines has its file?"
    ),
    predict=Number("lines"),
    steps=steps,
    why="""The tasks of a sink connector are members of a consumer group, connect-NAME. Its committed offsets and its
    lag are seen with the same tools as those of your own consumers, and deciding again where it reads works the
    same way: it must have no members meanwhile. A file sink only appends, so lines that are written again stand
    there twice; a sink that writes by key would not repeat them.""",
    wrong={"a stop alone makes it begin again": {"forget": False}},
    terms=("connector", "consumer group", "lag"),
)
