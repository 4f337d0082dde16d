"""What a serializer makes of a value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


def steps(lab: Lab, *, form: str = "avro") -> None:
    """Write one record as a string and one as Avro, and look at the bytes in the topic."""
    text, avro = lab.topic("string"), lab.topic("avro")
    lab.step("Write a string")
    lab.run("news-producer", "--format", "string", "--topic", text, "--count", "1")
    lab.step(f"Write a record as {form}")
    lab.run("news-producer", "--format", form, "--topic", avro, "--count", "1", "--seed", "7")
    values = {name: lab.read(topic)[0].value or b"" for name, topic in (("string", text), (form + " record", avro))}
    lab.table("the first bytes of a value", ("as", "bytes"), [(name, v[:16].hex(" ")) for name, v in values.items()])
    value = values[form + " record"]
    number = int.from_bytes(value[1:5], "big")
    lab.answer(value[0], f"the Avro value begins with byte {value[0]} and the schema's id, {number}")
    lab.holds("a string is its UTF-8 and nothing else", values["string"] == b"value0", values["string"])
    lab.holds("an Avro value begins with a zero byte", value[0] == 0, value[:1].hex())
    schema = lab.ask(f"{lab.ports.registry_url}/schemas/ids/{number}")
    lab.holds("four bytes name its schema in the registry", schema.status_code == 200, f"id {number}")


EXPERIMENT = Experiment(
    section=Section.SCHEMAS,
    rows=(7,),
    question="A broker stores bytes. How does a reader of an Avro record know which schema it was written with?",
    predict=Choice(
        (
            "the topic has a schema",
            "each record has its whole schema",
            "each record begins with the schema's id",
        ),
        right=2,
    ),
    steps=steps,
    why="""A serializer makes bytes of a value, a deserializer makes a value of bytes; brokers know neither. The wire
    format of Confluent's registry is a zero byte, the schema's id in four bytes, and the Avro body. The
    reader asks the registry for the id once and keeps the schema. (What a producer uses is the serializer.)""",
    wrong={"the record is a string": {"form": "string"}},
    quick=True,
    terms=("serializer", "schema registry"),
)
