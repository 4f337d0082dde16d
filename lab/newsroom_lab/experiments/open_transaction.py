"""A reader of committed records behind a transaction that is still open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

RECORDS = 42


def steps(lab: Lab, *, isolation: str = "read_committed") -> None:
    """Open a transaction, write other records behind it without one, and read before and after its end."""
    topic = lab.topic()
    lab.step("One producer opens a transaction, writes a record and takes its time")
    slow = lab.transactional(topic)
    slow.begin_transaction()
    slow.produce(topic, "in the transaction")
    slow.flush(10)
    lab.step(f"Another one writes {RECORDS} records, without a transaction")
    lab.send(topic, ((None, f"record {number}") for number in range(RECORDS)))
    dirty, before = len(lab.visible(topic, "read_uncommitted")), len(lab.visible(topic, isolation))
    lab.step("The transaction is aborted")
    slow.abort_transaction(10)
    lab.until("the abort is in the topic", lambda: len(lab.visible(topic)) == RECORDS)
    after = len(lab.visible(topic, isolation))
    lab.bars(
        "records that a reader gets",
        {"read_uncommitted, meanwhile": dirty, f"{isolation}, meanwhile": before, f"{isolation}, after": after},
    )
    lab.answer(before, f"{isolation} got {before} of {RECORDS + 1} records meanwhile, and {after} after the abort")
    lab.holds("meanwhile a reader of committed records gets nothing behind it", before == 0, f"{before} records")
    lab.holds("after the abort it gets all others, and not the aborted one", after == RECORDS, f"{after} records")
    lab.holds("read_uncommitted got all at once, the aborted one, too", dirty == RECORDS + 1, f"{dirty} records")


EXPERIMENT = Experiment(
    section=Section.DEEPER,
    rows=(),
    question=(
        "A transaction is open on a partition, and another producer writes 42 records behind it, without any "
        "transaction. How many of them does a read_committed consumer get meanwhile?"
    ),
    predict=Number("records"),
    steps=steps,
    why="""A consumer gets records in the order of the partition. Behind an open transaction the broker cannot say yet
    which records count, so read_committed stops at the last stable offset: the first record of the oldest
    open transaction. One slow transaction holds up everybody's records on its partitions, and the lag grows
    although nothing is broken. That is why transactions are short, and have a timeout.""",
    wrong={"read_uncommitted is as good": {"isolation": "read_uncommitted"}},
    terms=("transaction", "last stable offset", "isolation level"),
)
