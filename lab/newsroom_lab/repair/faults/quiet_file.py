"""A connector that somebody has paused."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsroom_lab.repair.fault import Fault, Seen

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

TOPIC = "repair-orders"
CONNECTOR = "repair-orders-file"


def break_(site: Site) -> None:
    """Let a connector write one record, and pause it."""
    site.topic(TOPIC)
    site.connector(CONNECTOR, TOPIC)
    site.send(TOPIC, [(None, "the first order")])
    site.until("it has written", lambda: site.file_has(site.connector_file(CONNECTOR), "the first order"))
    site.ask(f"{site.connectors}/{CONNECTOR}/pause", "PUT").raise_for_status()
    status = f"{site.connectors}/{CONNECTOR}/status"
    site.until("it is paused", lambda: site.ask(status).json()["connector"]["state"] == "PAUSED")


def check(site: Site) -> Seen:
    """Send an order, and look for it in the file."""
    order = f"order {secrets.token_hex(3)}"
    site.send(TOPIC, [(None, order)])
    written = site.sees("it is in the file", lambda: site.file_has(site.connector_file(CONNECTOR), order), 30)
    return Seen(written, f"'{order}' was sent to {TOPIC}, and is {'' if written else 'not '}in {CONNECTOR}.txt")


FAULT = Fault(
    number=1,
    symptom=f"The file {CONNECTOR}.txt no longer grows, though orders come to {TOPIC}. Connect answers, and no task "
    "has failed.",
    set=break_,
    check=check,
    hints=(
        "The file is written by a connector: ask the Connect worker at {connect}/connectors what it is doing.",
        f"Look at {{connect}}/connectors/{CONNECTOR}/status: the states of the connector and of its task.",
        "PAUSED is not a failure: somebody asked for it, and it stays until somebody calls the connector's 'resume'.",
    ),
    cause="The connector was paused. A paused connector keeps its tasks and its offsets, and reads nothing; no metric "
    "of failure moves, only the lag of its group grows.",
    solution=(f"curl -fsS -X PUT {{connect}}/connectors/{CONNECTOR}/resume",),
)
