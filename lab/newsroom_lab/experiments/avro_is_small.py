"""Why Avro is small."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, reader: str = "avro") -> None:
    """Compare the same records as Avro and as JSON, and read with the registry away."""
    topic = lab.topic()
    lab.finally_do(lambda: lab.quietly_ask(f"{lab.ports.registry_url}/subjects/{topic}-value", "DELETE"))
    lab.step("Write 100 headlines as Avro")
    lab.run("news-producer", "--topic", topic, "--count", "100", "--seed", "7")
    folder, group = lab.folder(), lab.group()
    options = ("--sink", str(folder), "--format", reader, "--until-end", "--dlq-topic", lab.topic("dlq"))
    lab.step("Read them, and write each as JSON")
    lab.run(*lab.consumer(topic, group, *options))
    lines = [line for file in folder.glob("consumed-*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    values = [json.loads(line)["value"] for line in lines]
    compact = sum(len(json.dumps(value, separators=(",", ":"))) for value in values)
    avro = sum(len(record.value or b"") for record in lab.read(topic))
    lab.bars("bytes of 100 records", {"as JSON": compact, "as Avro, with 5 bytes for the schema": avro}, "bytes")
    lab.answer(round(100 * avro / max(1, compact)), f"Avro needs {avro} bytes for what JSON writes in {compact}")
    lab.holds("Avro is smaller", avro < compact, f"{avro / max(1, compact):.0%}")
    lab.holds("the values have field names only in JSON", all(isinstance(value, dict) for value in values), values[:1])


EXPERIMENT = Experiment(
    section=Section.SCHEMAS,
    rows=(25,),
    question="Why is an Avro record smaller than the same record as JSON?",
    predict=Choice(
        (
            "Avro compresses each record",
            "names and types are in the schema and not in the record",
            "Avro leaves empty fields out",
        ),
        right=1,
    ),
    steps=steps,
    why="""An Avro body is the values alone, one after the other: lengths and numbers with a variable number of
    bytes. Names, types and order are in the schema, which the registry stores once (in a topic of the
    cluster, or a database) and readers keep in memory. So a registry that is away for a moment stops only
    those who meet a new schema. Run two of them, and back up what they store: without it no record can be
    read.""",
    wrong={"a reader needs no schema": {"reader": "string"}},
    quick=True,
    terms=("schema registry", "serializer"),
)
