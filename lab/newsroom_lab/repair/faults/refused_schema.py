"""A subject whose compatibility rule was changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-articles"
SUBJECT = f"{TOPIC}-value"


def _schema(*fields: tuple[str, str]) -> str:
    named = [{"name": name, "type": kind} for name, kind in fields]
    return json.dumps({"type": "record", "name": "Article", "namespace": "repair", "fields": named})


OLD = _schema(("sku", "string"), ("price", "int"))
NEW = _schema(("sku", "string"))


def break_(site: Site) -> None:
    """Register a schema under the rule FORWARD."""
    site.topic(TOPIC)
    site.schema(SUBJECT, OLD, "FORWARD")


def check(site: Site) -> Seen:
    """Write an article with the new schema, and see whether it is there."""
    before = site.observer.end_offsets(TOPIC)[0]
    answer = site.produce(TOPIC, NEW, '{"sku": "b-7"}')
    written = site.observer.end_offsets(TOPIC)[0] - before
    return Seen(written == 1, f"a producer with the new schema wrote {written} of 1 articles: {answer}")


FAULT = Fault(
    number=10,
    symptom=f"The shop drops the field 'price' from the articles in {TOPIC}. As always, the readers have the new "
    "schema first: they do without the field, in old records and in new ones. The registry refuses "
    "the producer's new schema.",
    set=break_,
    check=check,
    hints=(
        f"Read the rule of the subject: {{registry}}/config/{SUBJECT}",
        (
            "FORWARD asks whether readers with the old schema can read new records. BACKWARD asks whether readers with "
            "the new schema can read old ones."
        ),
        "When the readers change first, the rule is BACKWARD: PUT it to the same address.",
    ),
    cause="The rule of the subject was FORWARD, which forbids to drop a field without default: old readers would miss "
    "it. Here the readers change first, and then BACKWARD is right, which allows to drop a field.",
    solution=(
        (
            "curl -fsS -X PUT -H 'Content-Type: application/json' -d '{{\"compatibility\": \"BACKWARD\"}}' "
            f"{{registry}}/config/{SUBJECT}"
        ),
    ),
)
