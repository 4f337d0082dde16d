"""The first program: 42 records, and a line for each delivery."""

from __future__ import annotations

from newsroom_lab.write.audit import Finding, ended_well, exactly, order_of_keys
from newsroom_lab.write.task import Act, Evidence, Round, Task

EXPECTED = [(f"key{i}".encode(), f"{word}{i}".encode()) for i in range(21) for word in ("value", "filter")]


def audit(evidence: Evidence) -> list[Finding]:
    """The 42 records, each once; a key's value before its filter; a line for each."""
    wanted = [f'Sending message with key "{key.decode()}" and value "{value.decode()}"' for key, value in EXPECTED]
    text = "\n".join(evidence.lines)
    silent = [line for line in wanted if line not in text]
    proof = f"no line with: {silent[0]}" if silent else ""
    return [
        *exactly(EXPECTED, evidence.output),
        order_of_keys(EXPECTED, evidence.output),
        Finding("each delivery has its line", not silent, f"{len(wanted) - len(silent)} of 42 lines", proof),
        ended_well(evidence.codes),
    ]


TASK = Task(
    level=1,
    title="string producer",
    text="""Send 42 records to the topic LAB_OUTPUT: for each i from 0 to 20 key "key$i" with value "value$i", and then
the same key with value "filter$i", all as text. When a record is delivered, write the line
    Sending message with key "key20" and value "filter20"
to standard output. End with exit code 0 when every record is delivered, and with another one if one was not.
A broker may die before you start: the other two have every partition.""",
    topics=("OUTPUT",),
    promises={
        "nothing is lost": "produce() only puts a record into a queue: call flush() before the program ends.",
        "nothing is repeated": "A retry may write twice: set enable.idempotence.",
        "nothing is changed": "Keys and values are plain text (UTF-8), without quotes or JSON.",
        "order is kept": "A record without its key goes to any partition, and order holds within one partition only.",
        "each delivery has its line": "Write it in the delivery callback (on_delivery), and call poll() or flush().",
        "it ends as it should": "End with exit code 0; close what keeps the program alive.",
    },
    rounds=(Round("calm", quick=True), Round("a broker is down", (Act.BROKER,))),
    audit=audit,
)
