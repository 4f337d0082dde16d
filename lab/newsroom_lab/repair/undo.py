"""How each kind of thing that a fault makes is taken away again. Undoing twice, or what was never made, is no error."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from newsroom_lab import programs
from newsroom_lab.sending import transactional
from newsroom_stack.errors import StackError
from newsroom_stack.processes.runfile import same_process

if TYPE_CHECKING:
    from concurrent.futures import Future

    import httpx

    from newsroom_lab.repair.site import Site

SECONDS = 60.0
"""How long a thing may take that takes a second: a busy machine needed more than 30 s for a connector's task."""

END_SECONDS = 10.0
RESTART_SECONDS = 180.0
"""A killed broker recovers its log first."""

CONFLICT, GONE = 409, 404
ABSENT = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - it is librdkafka's name
    KafkaError.GROUP_ID_NOT_FOUND,
}


def undo(site: Site, note: str, value: str) -> str:
    """Undo one thing, and say so; an empty line if there was nothing to undo.

    Raises:
        StackError: it could not be undone.
    """
    kind, _, name = note.partition(" ")
    if kind not in UNDO:
        raise StackError(f"another version of the lab noted '{note}': undo it with that version")
    return UNDO[kind](site, name, value)


def _program(_: Site, name: str, mark: str) -> str:
    pid = int(name)
    if not same_process(pid, mark):
        return ""
    os.kill(pid, signal.SIGTERM)
    try:
        programs.until(f"process {pid} ends", lambda: not same_process(pid, mark), END_SECONDS, StackError)
    except StackError:
        os.kill(pid, signal.SIGKILL)
        programs.until(f"process {pid} ends", lambda: not same_process(pid, mark), END_SECONDS, StackError)
    return f"ended the program with pid {pid}"


def _folder(_: Site, name: str, __: str) -> str:
    shutil.rmtree(name, ignore_errors=True)
    return ""


def _topic(site: Site, name: str, _: str) -> str:
    there = _unless_absent(site.admin.delete_topics([name])[name])
    site.until(f"topic {name} is gone", lambda: name not in site.admin.list_topics(timeout=SECONDS).topics)
    return f"deleted topic {name}" if there else ""


def _group(site: Site, name: str, _: str) -> str:
    # Members that were ended without a word stay for the rest of their session.
    def delete() -> str:
        return "deleted" if _unless_absent(site.admin.delete_consumer_groups([name])[name]) else "absent"

    done = site.until(f"group {name} is deleted", delete)
    return f"deleted group {name}" if done == "deleted" else ""


def _unless_absent(answer: Future[None]) -> bool:
    """Wait for a deletion; false if there was nothing to delete."""
    try:
        answer.result(SECONDS)
    except KafkaException as error:
        if error.args[0].code() not in ABSENT:
            raise
        return False
    return True


def _connector(site: Site, name: str, file: str) -> str:
    answers: list[httpx.Response] = []

    def deleted() -> bool:
        answers.append(site.ask(f"{site.connectors}/{name}", "DELETE"))
        return answers[-1].is_success or answers[-1].status_code == GONE

    site.until(f"connector {name} is deleted", deleted)
    site.stack.execute("connect", "rm", "-f", file)
    return f"deleted connector {name}" if answers[-1].is_success else ""


def _part(site: Site, name: str, _: str) -> str:
    def ready() -> bool:
        return all(instance.ready for instance in site.stack.ps() if instance.name == name)

    if ready():
        return ""
    try:
        site.stack.restart(name)
    except StackError as error:
        # On a busy machine it is ready later than the stack waits, or at the start that follows a death.
        if not site.sees(f"{name} is ready", ready, RESTART_SECONDS):
            raise StackError(f"{name} does not start ({error})") from error
    return f"started {name}"


def _eligible(site: Site, topic: str, broker: str) -> str:
    # Decision 0014: otherwise the controllers may keep the broker as eligible for a topic that is gone.
    replicas = len(site.admin.list_topics(timeout=SECONDS).brokers)
    setting = ConfigEntry("min.insync.replicas", str(replicas), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[setting])
    if not _unless_absent(site.admin.incremental_alter_configs([resource])[resource]):
        return ""
    site.until(f"{broker} is in sync", lambda: site.in_sync(topic) == replicas, RESTART_SECONDS)
    site.stack.kill(broker)
    site.until(f"{broker} is out of sync", lambda: site.in_sync(topic) < replicas)
    _topic(site, topic, "")
    _part(site, broker, "")
    return f"deleted topic {topic} while {broker} was away"


def _transaction(site: Site, name: str, _: str) -> str:
    # The successor of a producer ends its transaction.
    transactional(site.ports.bootstrap, name, {})
    return f"ended the transaction of {name}"


def _subject(site: Site, name: str, _: str) -> str:
    for path in (f"config/{name}", f"subjects/{name}"):
        answer = site.ask(f"{site.ports.registry_url}/{path}", "DELETE")
        if not answer.is_success and answer.status_code != GONE:
            raise StackError(f"the registry does not delete {path}: {answer.status_code} {answer.text[:200]}")
    return f"deleted subject {name}"


UNDO = {
    "program": _program,
    "folder": _folder,
    "topic": _topic,
    "group": _group,
    "connector": _connector,
    "part": _part,
    "eligible": _eligible,
    "transaction": _transaction,
    "subject": _subject,
}
"""By the kind of a note."""

LOCAL = {"program", "folder"}
"""The kinds that need no cluster."""
