"""From a topic to a data lake: which connector, and how its configuration is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from newsroom_lab.connecting import connect_url
from newsroom_lab.experiment import Experiment, Number, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab

FILE_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"

LAKE = {
    "connector.class": "io.confluent.connect.s3.S3SinkConnector",
    "topics": "news",
    "storage.class": "io.confluent.connect.s3.storage.S3Storage",
    "format.class": "io.confluent.connect.s3.format.parquet.ParquetFormat",
    "partitioner.class": "io.confluent.connect.storage.partitioner.TimeBasedPartitioner",
    "flush.size": "10000",
    "rotate.interval.ms": "600000",
}
"""What a sink for object storage is told, in the names of one that many use."""

MEANING = (
    ("format.class", "how a file looks: Parquet or Avro keep the schema, JSON does not"),
    ("partitioner.class", "which folder a record goes to: by time, so that a query reads few folders"),
    ("flush.size", "after how many records a file is closed: small files are slow to read"),
    ("rotate.interval.ms", "after how much time of the records a file is closed"),
)


def steps(lab: Lab, *, whole: bool = False) -> None:
    """Ask the worker what it can run, let it check a configuration, and try a sink that it does not have."""
    lab.step("Ask the worker which connectors it has")
    plugins = [plugin["class"].rpartition(".")[2] for plugin in lab.ask(f"{connect_url(lab)}/connector-plugins").json()]
    lab.say(", ".join(plugins))
    lab.step("Let it check a configuration, without running it")
    config: dict[str, str] = {"connector.class": FILE_SINK, "name": lab.name(), "tasks.max": "1", "topics": "news"}
    if not whole:
        config |= {"tasks.max": "many", "errors.tolerance": "some"}
    check = f"{connect_url(lab)}/connector-plugins/FileStreamSinkConnector/config/validate"
    answer: dict[str, Any] = lab.ask(check, "PUT", config).json()
    problems = {
        value["value"]["name"]: value["value"]["errors"][0] for value in answer["configs"] if value["value"]["errors"]
    }
    lab.table("what it finds", ("setting", "error"), sorted(problems.items()))
    lab.step("Create a sink for object storage, whose plug-in is not here")
    refused = lab.ask(f"{connect_url(lab)}/connectors", "POST", {"name": lab.name(), "config": LAKE})
    message = str(refused.json().get("message", ""))
    lab.say(message[:200])
    lab.table("what such a sink is told", ("setting", "meaning"), MEANING)
    lab.answer(
        len(problems), f"{len(problems)} settings have errors; the sink's plug-in is missing: {refused.status_code}"
    )
    lab.holds(
        "both mistakes are named before anything runs",
        set(problems) == {"tasks.max", "errors.tolerance"},
        sorted(problems),
    )
    lab.holds(
        "a class that is not installed is refused with its name",
        not refused.is_success and "S3SinkConnector" in message,
        refused.status_code,
    )


EXPERIMENT = Experiment(
    section=Section.CONNECT,
    rows=(32,),
    question=(
        "In the configuration of a sink tasks.max is 'many' and errors.tolerance is 'some'. The worker is asked to "
        "check it. How many settings have an error?"
    ),
    predict=Number("settings"),
    steps=steps,
    why="""A data lake is object storage with files in a columnar format. The sink for it is a plug-in that is installed
    into the worker (S3, Google Cloud Storage, Azure, HDFS, or Iceberg as a table format); its configuration says
    format, folders and when a file is closed. Large files are good for queries and bad for freshness. The worker
    checks a configuration through REST without running it, which belongs into the pipeline that deploys it.""",
    wrong={"a worker checks nothing before the start": {"whole": True}},
    terms=("connector", "schema"),
)
