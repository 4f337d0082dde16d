"""Values as Avro, with their schema in the registry."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from newsroom_lab.write.audit import Finding, ended_well, place
from newsroom_lab.write.headlines import SCHEMA, decode, forget_at_end, headlines, write_source
from newsroom_lab.write.task import Act, Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.task import Evidence, Setting

NEWS = headlines(210)


def prepare(setting: Setting) -> None:
    """Write the file that is to be sent, and name the schema."""
    setting.variables["LAB_SOURCE"] = write_source(setting.folder / "source.jsonl", NEWS)
    setting.variables["LAB_SCHEMA"] = str(SCHEMA)
    forget_at_end(setting.lab, setting.variables["LAB_OUTPUT"])


def audit(evidence: Evidence) -> list[Finding]:
    """Each headline once, in the wire format, under one schema of the subject."""
    decoded = [(record, decode(record.value, evidence.schemas)) for record in evidence.output]
    garbage = [record for record, fields in decoded if fields is None]
    headlines = Counter(json.dumps(fields, sort_keys=True) for _, fields in decoded if fields is not None)
    wanted = [json.dumps(line, sort_keys=True) for line in NEWS]
    missing = [line for line in wanted if line not in headlines]
    again = [line for line, number in headlines.items() if number > 1]
    versions = len(evidence.schemas)
    return [
        Finding(
            "values are Avro with a schema id",
            not garbage,
            f"not Avro {len(garbage)}",
            f"{place(garbage[0])}: no record of a schema of the subject" if garbage else "",
        ),
        Finding(
            "nothing is lost", not missing, f"lost {len(missing)}", f"no record with {missing[0]}" if missing else ""
        ),
        Finding(
            "nothing is repeated", not again, f"repeated {len(again)}", f"{again[0]} is there twice" if again else ""
        ),
        Finding(
            "the subject has one version",
            versions == 1,
            f"{versions} version{'' if versions == 1 else 's'}",
            "" if versions == 1 else f"the subject of the topic has {versions} versions",
        ),
        ended_well(evidence.codes),
    ]


TASK = Task(
    level=6,
    title="Avro producer with the registry",
    text="""Send each line of LAB_SOURCE, a JSON object with "title" and "media", to the topic LAB_OUTPUT as Avro of the
schema in the file LAB_SCHEMA. Register the schema at LAB_REGISTRY (Confluent's API) under the subject of the topic's
values (the topic's name and -value), and write the wire format: a zero byte, the schema's id in four bytes, the record.
End with exit code 0 when every record is delivered. The registry may be down when you start: wait a minute for it.""",
    topics=("OUTPUT",),
    promises={
        "values are Avro with a schema id": "Use AvroSerializer, or write a zero byte and the id (big-endian) first.",
        "nothing is lost": "Call flush() before the program ends.",
        "nothing is repeated": "If you begin again after an error, do not send again what is delivered.",
        "the subject has one version": "Register the schema once, under the topic's name and -value.",
        "it ends as it should": "Repeat the request to the registry until it answers, for a minute at least.",
    },
    rounds=(Round("calm", quick=True), Round("the registry is down", (Act.REGISTRY,))),
    audit=audit,
    prepare=prepare,
    variables={"LAB_SOURCE": "the file to send, one JSON object a line", "LAB_SCHEMA": "the file with the Avro schema"},
)
