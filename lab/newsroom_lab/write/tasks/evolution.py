"""A schema changes: a compatible change goes through, an incompatible one must stop the producer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from newsroom_lab.write.audit import Finding, ended_well, place
from newsroom_lab.write.feeding import Feeder
from newsroom_lab.write.headlines import OPTIONAL, REQUIRED, SCHEMA, decode, headlines, register, write_source
from newsroom_lab.write.task import Round, Task

if TYPE_CHECKING:
    from newsroom_lab.write.task import Evidence, Setting

OLD = headlines(10)
NEW = headlines(42, test="new")
REFUSED = "refused"


def prepare(setting: Setting) -> None:
    """Write old records, and the file and the schema of the new ones."""
    topic = setting.variables["LAB_OUTPUT"]
    encode = register(setting.lab, topic, SCHEMA)
    Feeder(setting.lab.ports.bootstrap, topic).send([(None, encode(line)) for line in OLD])
    setting.variables["LAB_SOURCE"] = write_source(setting.folder / "source.jsonl", NEW)
    setting.variables["LAB_SCHEMA"] = str(REQUIRED if REFUSED in setting.round.options else OPTIONAL)


def audit(evidence: Evidence) -> list[Finding]:
    """New records have the new schema, and readers of the old one read them; or nothing was written at all."""
    refused = REFUSED in evidence.round.options
    old = next(iter(evidence.schemas.values()), "")
    new = [(record, decode(record.value, evidence.schemas)) for record in evidence.output]
    written = [record for record, fields in new if fields is None or "test" in fields]
    titles = {fields["title"] for _, fields in new if fields is not None and fields.get("test") == "new"}
    missing = [] if refused else [line["title"] for line in NEW if line["title"] not in titles]
    unreadable = [record for record, _ in new if decode(record.value, evidence.schemas, old) is None]
    versions = len(evidence.schemas)
    wanted = 1 if refused else 2
    findings = [
        Finding(
            "old readers read everything",
            not unreadable,
            f"unreadable {len(unreadable)}",
            place(unreadable[0]) if unreadable else "",
        ),
        Finding(
            "compatible versions only",
            versions == wanted,
            f"versions {versions}",
            "" if versions == wanted else f"the subject has {versions} versions, and {wanted} were due",
        ),
        ended_well(evidence.codes, refused=refused),
    ]
    if refused:
        stray = place(written[-1]) if written else ""
        return [Finding("nothing of a refused schema", not written, f"written {len(written)}", stray), *findings]
    lost = f"no record with title {missing[0]!r} and the field test" if missing else ""
    return [Finding("nothing is lost", not missing, f"lost {len(missing)}", lost), *findings]


TASK = Task(
    level=7,
    title="schema evolution",
    text="""The topic LAB_OUTPUT has records of an older schema. Send each line of LAB_SOURCE, a JSON object with
"title", "media" and "test", as Avro of the schema in LAB_SCHEMA, registered as in the task avro-producer. If the
registry refuses the schema, say why, write nothing, and end with another exit code than 0. Do not change the subject's
compatibility, and do not delete its versions: consumers with the old schema must be able to read everything.""",
    topics=("OUTPUT",),
    promises={
        "nothing is lost": "Send the field test, too, and call flush() before the program ends.",
        "nothing of a refused schema": "Register the schema before the first produce(); stop when the answer is 409.",
        "old readers read everything": "Write the id of the schema that you used, one that the registry accepted.",
        "compatible versions only": "Register under the topic's name and -value, and leave its compatibility as it is.",
        "it ends as it should": "Code 0 when everything is sent; another code when the registry refuses the schema.",
    },
    rounds=(
        Round("a compatible change", quick=True),
        Round("an incompatible change", quick=True, options={REFUSED: "yes"}),
    ),
    audit=audit,
    prepare=prepare,
    variables={"LAB_SOURCE": "the file to send, one JSON object a line", "LAB_SCHEMA": "the file with the new schema"},
)
