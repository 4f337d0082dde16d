"""Connect's own serializers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.connecting import FileSink
from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

STRING = "org.apache.kafka.connect.storage.StringConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"


def steps(lab: Lab, *, avro: bool = True) -> None:
    """Read one topic of Avro records with two connectors that have other converters."""
    topic = lab.topic()
    lab.step("Write five Avro records" if avro else "Write five texts in JSON")
    if avro:
        subject = f"{lab.ports.registry_url}/subjects/{topic}-value"
        lab.finally_do(lambda: lab.quietly_ask(subject, "DELETE"))
        lab.run("news-producer", "--topic", topic, "--count", "5")
    else:
        lab.send(topic, [(None, f'{{"number":{number}}}') for number in range(5)])
    text, json = FileSink(lab, topic, "string"), FileSink(lab, topic, "json")
    lab.step("A connector with the StringConverter")
    text.create(value_converter=STRING)
    lab.until("it has written something", lambda: _first_bytes(lab, text), 60)
    first = _first_bytes(lab, text)
    lab.say(f"the file begins with the bytes {first}")
    lab.step("A connector with the JsonConverter")
    json.create(value_converter=JSON, value_converter_schemas_enable="false")
    failed = lab.sees("its task has failed", lambda: json.tasks()[0]["state"] == "FAILED", 15)
    states = [sink.tasks()[0]["state"] for sink in (text, json)]
    trace = str(json.tasks()[0].get("trace", ""))
    lab.say(*[line.strip()[:200] for line in trace.splitlines() if "Exception" in line][:3])
    lab.table(
        "what became of the records",
        ("converter", "task", "the file begins with"),
        [("StringConverter", states[0], first), ("JsonConverter", states[1], "nothing" if failed else "its text")],
    )
    lab.answer(
        1 if failed and first.startswith("00") else 0, f"StringConverter: {states[0]}; JsonConverter: {states[1]}"
    )
    lab.holds(
        "the string converter writes bytes as they are: the file begins with Avro's magic byte",
        first[:2] == "00",
        first,
    )
    lab.holds(
        "the JSON converter stops its task, and the trace says why", failed and "JSON" in trace.upper(), states[1]
    )


def _first_bytes(lab: Lab, sink: FileSink) -> str:
    if not lab.stack.execute(
        "connect", "find", sink.file.rpartition("/")[0], "-name", f"{sink.name}.txt", "-size", "+0"
    ):
        return ""
    return lab.stack.execute("connect", "od", "-An", "-tx1", "-N8", sink.file).strip()


EXPERIMENT = Experiment(
    section=Section.CONNECT,
    rows=(30,),
    question=(
        "A topic holds Avro. One file connector has the StringConverter, another one the JsonConverter. What do they "
        "do?"
    ),
    predict=Choice(
        (
            "both write readable text",
            "the first writes unreadable bytes and runs on; the second one's task fails",
            "both tasks fail",
        ),
        right=1,
    ),
    steps=steps,
    why="""A converter is the serializer of Connect: it turns the bytes of a topic into a value for the connector, and
    back. It must fit what the producer wrote, as a deserializer must. Bytes are always some text, so the string
    converter never fails and a wrong one is not noticed; JSON has a grammar. A failed task stays failed until
    somebody restarts it, unless errors.tolerance and a dead-letter topic are set. For Avro the converter of the
    registry's maker is used.""",
    wrong={"the converters do not matter": {"avro": False}},
    terms=("converter", "serializer", "connector"),
)
