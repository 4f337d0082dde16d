"""The command `newsroom replay`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from newsroom.topics import WORD_COUNTS
from newsroom.waiting import need
from newsroom_stack.cli.groups import open_groups
from newsroom_stack.cli.parser import BOOTSTRAP, EXECUTE, READ_AGAIN, argument, command, consumer_groups, topics
from newsroom_stack.cli.render import console
from newsroom_stack.errors import StackError
from newsroom_stack.waits import wait_until

if TYPE_CHECKING:
    from newsroom_stack.cluster.groups import Groups
    from newsroom_stack.interface import Stack

# ruff: noqa: PLC0415 - a command imports what it alone needs

WORDCOUNT = "wordcount-stream"


@command(
    READ_AGAIN,
    argument("service", metavar="SERVICE", choices=(WORDCOUNT,), help=f"the service to rebuild: {WORDCOUNT}"),
    argument(
        "--group",
        default=WORDCOUNT,
        metavar="GROUP",
        help=f"its consumer group (default: {WORDCOUNT})",
        completer=consumer_groups,
    ),
    argument(
        "--table",
        default=WORD_COUNTS.name,
        metavar="TOPIC",
        help=f"its table (default: {WORD_COUNTS.name})",
        completer=topics,
    ),
    EXECUTE,
    BOOTSTRAP,
)
def replay(*, service: str, group: str, table: str, execute: bool, bootstrap: str | None) -> None:
    """Count every word again from what the topics still hold: offsets, state and changelog together."""
    from newsroom_stack.cluster import rebuild as rebuilding

    with open_groups(bootstrap) as groups:
        plan = rebuilding.plan_rebuild(groups, group, table)
        console().print("this will be deleted:" if execute else "this would be deleted; --execute does it:")
        for line in plan.lines():
            console().print(f"- {line}", markup=False)
        stack = own_stack(groups.cluster.address)
        replicas = own_replicas(stack, service)
        refuse_strangers(groups, group, replicas)
        if not execute:
            return
        rebuilding.check_rights(groups, plan)
        if stack is not None and replicas:
            _say(f"stopping {replicas} replicas of {service}")
            stack.scale(service, 0)
        try:
            wait_until_idle(groups, group, rebuilding.EMPTY_SECONDS)
        except StackError:
            start_again(stack, service, replicas)
            raise
        try:
            rebuilding.execute(groups, plan, _say)
        except Exception as error:
            raise StackError(
                f"{error}. {service} stays stopped, because its parts no longer fit together: run this command again, "
                f"which goes on, then 'newsroom scale {service} {replicas or 1}'"
            ) from error
    start_again(stack, service, replicas)


def own_stack(address: str) -> Stack | None:
    """The stack of this home, if it runs and the brokers are its own."""
    from newsroom_stack.cli.opening import open_stack

    stack = open_stack()
    return stack if stack.ports.bootstrap == address and stack.running() else None


def own_replicas(stack: Stack | None, service: str) -> int:
    """How many replicas of the service the stack has, whatever their state."""
    return 0 if stack is None else sum(instance.service == service for instance in stack.ps())


def refuse_strangers(groups: Groups, group: str, replicas: int) -> None:
    """Refuse while the group has more members than the stack has replicas.

    Raises:
        StackError: somebody else runs members of the group.
    """
    state = groups.find(group)
    members = groups.members(state) if state else []
    if len(members) > replicas:
        who = ", ".join(f"{member.client} at {member.host}" for member in members)
        raise StackError(
            f"group {group} has {len(members)} members ({who}), and {replicas} of them are replicas of the stack that "
            "this command runs: stop the others first"
        )


def wait_until_idle(groups: Groups, group: str, seconds: float) -> None:
    """Wait until the group has no members.

    Raises:
        StackError: it still has some.
    """
    last: list[StackError] = []

    def attempt() -> None:
        try:
            groups.check_idle(group)
        except StackError as error:
            last[:] = [error]
            need(str(error))

    wait_until(attempt, seconds, lambda _: last[0], pause=0.5)


def start_again(stack: Stack | None, service: str, replicas: int) -> None:
    """Start the replicas that were stopped."""
    if stack is None or not replicas:
        how = f"start {service} again" if stack is None else f"'newsroom scale {service} 1' starts {service} again"
        _say(f"{how}: it counts from the oldest record of its topics")
        return
    stack.scale(service, replicas)
    _say(f"{replicas} replicas of {service} run again, and count from the oldest record of their topics")


def _say(line: str) -> None:
    console().print(line, markup=False)
    sys.stdout.flush()
