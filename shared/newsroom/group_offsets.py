"""The committed offsets of any groups of a cluster.

librdkafka's admin client crashes the process when a broker answers this question with NOT_COORDINATOR, as brokers do
whenever a coordinator has just moved (its issue 5040), or when the coordinator goes away under it (4605).
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from typing import TYPE_CHECKING

from kafka.errors import AuthorizationError, BrokerResponseError, KafkaError, NotCoordinatorError, RequestTimedOutError
from typing_extensions import override

from newsroom.inquiry import Inquirer, reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from kafka import KafkaAdminClient

    from newsroom.lifecycle import Deadline

MOST_AT_ONCE = 16
"""Questions side by side: more than this many brokers are asked in turns."""

Offsets = dict[tuple[str, int], int]
"""Topic and partition to the group's committed offset; partitions without a commit are not in it."""


class OffsetsReader(Inquirer[dict[str, Offsets | str]]):
    """Asks one cluster for the committed offsets of groups."""

    def ask(self, batches: Sequence[Sequence[str]]) -> Future[dict[str, Offsets | str]]:
        """The answer to come: each group's offsets, or the sentence why they are not known.

        A batch is one request, and batches are asked for side by side: with the groups of one coordinator in one
        batch, a broker that hangs holds up no other's groups. While a question is under way its answer is also this
        one's, and may lack a group.
        """
        return self._ask(partial(self._read, [list(batch) for batch in batches if batch]))

    @override
    def _failure(self, reason: str) -> str:
        return f"{self._settings.bootstrap_servers} gave no committed offsets: {reason}"

    def _read(self, batches: list[list[str]], deadline: Deadline) -> dict[str, Offsets | str]:
        if not batches:
            return {}
        question = _Question(self._connected(), deadline, self._timeout)
        pool = ThreadPoolExecutor(min(len(batches), MOST_AT_ONCE), thread_name_prefix="OffsetsReader")
        try:
            asked = {pool.submit(question.batch, batch): batch for batch in batches}
            answered, late = wait(asked, deadline.left())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        found: dict[str, Offsets | str] = {}
        for each in late:
            found |= dict.fromkeys(asked[each], question.late)
        for each in answered:
            found |= each.result()
        if late or question.stale.is_set():
            self._drop()
        return found


class _Question:
    """One question, as the threads that ask it share it."""

    def __init__(self, client: KafkaAdminClient, deadline: Deadline, timeout_seconds: float) -> None:
        self._client = client
        self._deadline = deadline
        self.late = f"no answer within {timeout_seconds:.2g} s"
        self.stale = threading.Event()
        """Set when the next question needs another client: this one never forgets a coordinator, and backs off from a
        broker that was lost."""

    def batch(self, groups: list[str]) -> dict[str, Offsets | str]:
        if self._deadline.passed():
            return dict.fromkeys(groups, self.late)
        try:
            answers = self._client.list_group_offsets(dict.fromkeys(groups))
        except KafkaError as error:
            refused = isinstance(error, BrokerResponseError) and not isinstance(error, RequestTimedOutError)
            if refused and len(groups) > 1:
                # The library raises at the first group that was refused, without the others' offsets.
                return {group: answer for name in groups for group, answer in self.batch([name]).items()}
            if not refused or isinstance(error, NotCoordinatorError):
                self.stale.set()
            return dict.fromkeys(groups, _why(error, self._deadline.seconds))
        return {group: _offsets(answers.get(group, {})) for group in groups}


def _offsets(answer: dict[object, object]) -> Offsets:
    """The library's answer about one group; it has -1 where nothing was committed."""
    return {(where.topic, where.partition): commit.offset for where, commit in answer.items() if commit.offset >= 0}  # type: ignore[attr-defined]


def _why(error: KafkaError, seconds: float) -> str:
    if isinstance(error, AuthorizationError):
        return "the cluster does not let this user read the group (the ACLs are DESCRIBE on group and topics)"
    return reason(error, seconds)
