"""A connector with the wrong converter, which was told to tolerate every error."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-notes"
CONNECTOR = "repair-notes-file"
JSON = "org.apache.kafka.connect.json.JsonConverter"
STRING = "org.apache.kafka.connect.storage.StringConverter"


def break_(site: Site) -> None:
    """Create a connector that takes text for JSON, and drops what is not."""
    site.topic(TOPIC)
    site.send(TOPIC, [(None, f"note {number}") for number in range(5)])
    site.connector(
        CONNECTOR, TOPIC, value_converter=JSON, value_converter_schemas_enable="false", errors_tolerance="all"
    )
    group = f"connect-{CONNECTOR}"
    site.until("it has read", lambda: site.observer.committed(group, TOPIC) == {0: 5}, 60)


def check(site: Site) -> Seen:
    """Send a note, and look for it in the file."""
    note = f"note {secrets.token_hex(3)}"
    site.send(TOPIC, [(None, note)])
    written = site.sees("it is in the file", lambda: site.file_has(site.connector_file(CONNECTOR), note), 30)
    return Seen(written, f"'{note}' was sent to {TOPIC}, and is {'' if written else 'not '}in {CONNECTOR}.txt")


FAULT = Fault(
    number=2,
    symptom=f"The connector {CONNECTOR} is green: RUNNING, with a task that is RUNNING, and without lag. Its file "
    f"{CONNECTOR}.txt is empty, though notes come to {TOPIC}.",
    set=break_,
    check=check,
    hints=(
        (
            f"Compare a record ('newsroom peek {TOPIC} -n 1') with what the connector expects: "
            f"{{connect}}/connectors/{CONNECTOR}/config."
        ),
        (
            "value.converter must fit what the producer wrote. errors.tolerance says what happens to a record that the "
            "converter cannot read."
        ),
        (
            f"The notes are text, so the converter is {STRING}. PUT the changed configuration to "
            f"{{connect}}/connectors/{CONNECTOR}/config."
        ),
    ),
    cause="The notes are text, and the connector had the JsonConverter. With errors.tolerance=all a record that cannot "
    "be converted is dropped and committed. Without a dead-letter topic nobody hears of it.",
    solution=(
        (
            f"curl -fsS {{connect}}/connectors/{CONNECTOR}/config"
            f' | sed \'s/{JSON}/{STRING}/; s/"errors.tolerance":"all"/"errors.tolerance":"none"/\''
            f" | curl -fsS -X PUT -H 'Content-Type: application/json' -d @- {{connect}}/connectors/{CONNECTOR}/config"
        ),
    ),
)
