"""A transaction whose producer is gone, found and ended with Kafka's own tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 42
TIMEOUT_MS = 900_000
"""The longest that a broker allows: a quarter of an hour."""

OPEN_SINCE = r"^\s*\d+\s+\d+\s+-?\d+\s+-?\d+\s+\S+\s+(\d+)\s*$"
"""A line of `describe-producers` whose last column, CurrentTransactionStartOffset, is a number."""


def steps(lab: Lab, *, abort: bool = True) -> None:
    """Leave a transaction open, see readers wait, find it by its partition, and abort it."""
    topic = lab.topic()
    lab.step("A producer writes in a transaction with a timeout of 15 minutes, and is never seen again")
    gone = lab.transactional(topic, transaction_timeout_ms=TIMEOUT_MS)
    gone.begin_transaction()
    gone.produce(topic, "half of the work")
    gone.flush(10)
    # Its successor would end the transaction at once; here it comes last, so that nothing is left behind.
    lab.finally_do(lambda: lab.transactional(topic))
    lab.send(topic, ((None, f"record {number}") for number in range(RECORDS)))
    stuck = len(lab.visible(topic))

    lab.step("Look for a partition's open transactions")
    producers = lab.kafka("transactions", "describe-producers", "--topic", topic, "--partition", "0")
    start = producers.search(OPEN_SINCE)[1]
    lab.kafka("transactions", "describe", "--transactional-id", topic)
    if abort:
        lab.step(f"Abort the one that began at offset {start}")
        place = ("--topic", topic, "--partition", "0")
        lab.kafka("transactions", "abort", *place, "--start-offset", start)
    free = lab.sees("readers go on", lambda: len(lab.visible(topic)) == RECORDS, 10)
    after = len(lab.visible(topic))
    lab.bars("records that a read_committed reader gets", {"behind the transaction": stuck, "at the end": after})
    lab.answer(after, f"a reader got {stuck} of {RECORDS} records, and {after} at the end")
    lab.holds("readers wait while the transaction is open", stuck == 0, f"{stuck} records")
    lab.holds("the tool names the offset where it began", start == "0", f"offset {start}")
    lab.holds("readers get every other record when it is aborted", free, f"{after} of {RECORDS}")


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "A producer died in a transaction with a timeout of 15 minutes, and read_committed consumers stand still "
        "behind it. How do they get on in the next minute?"
    ),
    predict=Choice(
        (
            "they are restarted",
            "an operator finds the transaction and aborts it with kafka-transactions",
            "by themselves: the broker sees that the producer's connection is gone",
        ),
        right=1,
    ),
    steps=steps,
    why="""A transaction belongs to its transactional id and not to a connection, so a broker cannot know that the
    producer is gone. It ends when the producer's successor starts with the same id, when its timeout is over
    (transaction.timeout.ms), or when an operator aborts it by topic, partition and start offset. `find-hanging`
    looks for those that the coordinator itself has forgotten, which would otherwise stay open for ever.""",
    wrong={"the consumers skip it after a while": {"abort": False}},
    terms=("transaction", "last stable offset", "isolation level"),
)
