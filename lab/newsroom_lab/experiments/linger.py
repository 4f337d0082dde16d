"""How long the client waits for a fuller batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


RECORDS = 300
PACE = 0.002


def steps(lab: Lab, *, lingers: tuple[int, ...] = (0, 10, 100)) -> None:
    """Send records slowly, one every two milliseconds, with several linger.ms."""
    topic = lab.topic()
    rows, requests = [], []
    for linger in lingers:
        lab.step(f"Send {RECORDS} records, one every {PACE * 1000:.0f} ms, with linger.ms={linger}")
        sending = lab.send(topic, ((None, "x" * 100) for _ in range(RECORDS)), pace=PACE, linger_ms=linger)
        requests.append(sending.requests)
        rows.append((f"{linger} ms", sending.requests, f"{RECORDS / sending.requests:.1f}", sending.bytes))
    lab.table("what went over the wire", ("linger.ms", "requests", "records a request", "bytes"), rows)
    lab.answer(
        requests[-1], f"{RECORDS} records: {requests[0]} requests without a wait, {requests[-1]} with the longest"
    )
    lab.holds("the longer the wait, the fewer requests", requests == sorted(set(requests), reverse=True), f"{requests}")
    lab.holds("the longest wait saves nine of ten requests", requests[-1] * 10 <= requests[0], f"{requests}")


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(10,),
    question="A program sends a record every two milliseconds. What does linger.ms=100 change?",
    predict=Choice(
        (
            "nothing: a batch goes as soon as the broker is free",
            "there are far fewer requests, and each record waits up to 100 ms",
            "records are sent one by one, every 100 ms",
        ),
        right=1,
    ),
    steps=steps,
    why="""The client sends a batch when it is full (batch.size) or when its oldest record has waited linger.ms. A
    longer wait means fewer and larger requests: more throughput, less CPU on both sides, better compression.
    The price is latency. At full speed batches fill anyway, and linger.ms hardly matters.""",
    wrong={"the wait makes no difference": {"lingers": (0, 0, 0)}},
    quick=True,
    terms=("batch",),
)
