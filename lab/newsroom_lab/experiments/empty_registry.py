"""When a schema gets into the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, form: str = "avro") -> None:
    """Look for a topic's subject before and after its first Avro record."""
    topic = lab.topic()
    subject = f"{lab.ports.registry_url}/subjects/{topic}-value/versions"
    lab.finally_do(lambda: lab.quietly_ask(subject.removesuffix("/versions"), "DELETE"))
    lab.step("Ask the registry for the subject of a new topic")
    before = lab.ask(subject)
    lab.step("Write one record")
    lab.run("news-producer", "--format", form, "--topic", topic, "--count", "1")
    after = lab.ask(subject)
    lab.say(after.text)
    lab.answer(after.status_code, f"before: {before.status_code}, after: versions {after.text}")
    lab.holds("there is no subject before the first record", before.status_code == 404, before.status_code)
    lab.holds("the producer has registered version 1", after.text == "[1]", after.text)


EXPERIMENT = Experiment(
    section=Section.SCHEMAS,
    rows=(24,),
    question="A new topic has no schema in the registry. Who registers one?",
    predict=Choice(
        ("the broker, when the topic is made", "the producer, before its first record", "the consumer, when it reads"),
        right=1,
    ),
    steps=steps,
    why="""Brokers know nothing of the registry. The producer's serializer registers the schema under the subject
    TOPIC-value, gets its id, and keeps it. In production this is often switched off: schemas are registered
    by a pipeline after a review, and a producer with an unknown schema ends.""",
    wrong={"strings have a schema, too": {"form": "string"}},
    quick=True,
    terms=("schema registry", "subject"),
)
