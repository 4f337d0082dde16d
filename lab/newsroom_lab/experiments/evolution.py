"""Which changes of a schema are let through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, schema: str = "schemas/news-v2-optional.avsc") -> None:
    """Write with the first schema, try one with a new required field, then one with a default; read old with new."""
    topic = lab.topic()
    subject = f"{lab.ports.registry_url}/subjects/{topic}-value"
    lab.finally_do(lambda: lab.quietly_ask(subject, "DELETE"))
    write = ("news-producer", "--topic", topic, "--count", "1")
    lab.step("Write with the first schema")
    lab.run(*write)
    lab.step("Write with a new field that has no default")
    refused = lab.run(*write, "--schema-path", "schemas/news-v2-required.avsc", codes=(0, 1, 78))
    lab.step("Write with a new field that has a default")
    accepted = lab.run(*write, "--schema-path", schema, codes=(0, 1, 78))
    versions = lab.ask(f"{subject}/versions").text
    lab.step("Read both records with the new schema")
    read = lab.run(*lab.consumer(topic, lab.group(), "--reader-schema", "schemas/news-v2-optional.avsc", "--until-end"))
    old = [line for line in read.lines if "Consumed :" in line]
    lab.say(*old)
    lab.answer(lab.total(topic), f"the required field was refused, the optional one is version 2: {versions}")
    lab.holds("a new field without a default is refused, and nothing is written", refused.code != 0, refused.lines[-1:])
    lab.holds("a new field with a default is the next version", (accepted.code, versions) == (0, "[1,2]"), versions)
    lab.holds("the new reader reads the old record, with the default", len(old) == 2 and "test=None" in old[0], old[:1])


EXPERIMENT = Experiment(
    section=Section.SCHEMAS,
    rows=(26, 27, 28),
    question=(
        "A producer wants to add a field to News. Which new field does the registry accept, with "
        "compatibility BACKWARD?"
    ),
    predict=Choice(("any field", "a field without a default", "a field with a default"), right=2),
    steps=steps,
    why="""BACKWARD means: a reader with the new schema can read what was written with the old one. An old record has
    no value for the new field, so the field needs a default. Old readers ignore the field they do not know.
    The registry checks this before a version is registered, so the producer ends and no record is written
    that somebody could not read.""",
    wrong={"a required field is as good": {"schema": "schemas/news-v2-required.avsc"}},
    terms=("schema registry", "compatibility"),
)
