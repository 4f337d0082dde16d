"""Takes the members out of a group that a replica was before. librdkafka has no request for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from kafka import errors
from kafka.admin import MemberToRemove

from newsroom.access import Right
from newsroom.admin.inquirer import Inquirer
from newsroom.background import in_background
from newsroom.errors import ClusterUnavailable
from newsroom.logs import get_logger

if TYPE_CHECKING:
    from newsroom.settings import KafkaSettings
    from newsroom.waiting import Deadline

log = get_logger(__name__)

QUESTION_SECONDS = 3.0
"""How long one look may take. The next one comes a second later, over a new connection if this one failed."""

GONE = (errors.NoError, errors.UnknownMemberIdError)
"""The answers after which the group does not have the member: removed now, or it left meanwhile."""


class MemberRemover(Inquirer[None]):
    """Removes from `group` the members whose client id is `name`, except the one that still lives.

    A coordinator takes a member whose process died, or whose client gave up its session, for alive until that session
    ends. Until then it gives nobody the member's partitions, and lets the others wait.
    """

    failure = "did not take a replica's former members out of its group"

    def __init__(self, settings: KafkaSettings, group: str, name: str) -> None:
        super().__init__(settings, QUESTION_SECONDS, Right("READ", "group", group))
        self._group = group
        self._name = name
        self._problem = ""

    def remove_all_but(self, member: str) -> None:
        """Start to remove the members of that name except `member`, if it is a member; do nothing while that runs."""
        if self._answer is None or self._answer.done():
            self._answer = in_background(partial(self._try, member))

    def _try(self, member: str) -> None:
        try:
            self._result(partial(self._remove, member))
        except ClusterUnavailable as error:
            if str(error) != self._problem and not self._closed.is_set():
                self._problem = str(error)
                log.info("former members of this replica stay until their sessions end", why=self._problem)

    def _remove(self, member: str, _: Deadline) -> None:
        client = self._connected()
        group = client.describe_groups([self._group])[self._group]
        if group["error"] is not None:
            raise ClusterUnavailable(group["error"])
        ours = {other["member_id"] for other in group["members"] if other["client_id"] == self._name}
        if member not in ours or len(ours) == 1:
            return
        former = [MemberToRemove(member_id=other, reason=f"{self._name} is {member} now") for other in ours - {member}]
        for removed, answer in client.remove_group_members(self._group, former).items():
            if answer not in GONE:
                raise answer()
            log.info("a former member of this replica was removed from the group", member=removed)
