"""The commands `newsroom groups …`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from newsroom_stack.cli.parser import BOOTSTRAP, EXECUTE, GROUP, JSON, READ_AGAIN, argument, command, topics
from newsroom_stack.cli.render import console, print_rows
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from newsroom_stack.cluster.groups import Group, Groups, Standing
    from newsroom_stack.cluster.resets import Move

# ruff: noqa: PLC0415 - a command imports what it alone needs

KIND = {"classic": "classic", "consumer": "consumer (KIP-848)", "share": "share", "streams": "streams"}


def open_groups(bootstrap: str | None) -> Groups:
    """The groups of the cluster that the options or the settings name."""
    from newsroom_stack.cluster.connection import Cluster, load_connection
    from newsroom_stack.cluster.groups import Groups

    return Groups(Cluster(load_connection(bootstrap)))


def print_json(data: object) -> None:
    """Print data for programs."""
    print(json.dumps(data, indent=1, ensure_ascii=False))  # noqa: T201 - data


def kind_of(group: Group) -> str:
    """What a group is, as its reader knows it."""
    kind = KIND.get(group.type, group.type)
    if group.type == "classic" and group.protocol != "consumer":
        return f"{kind} ({group.protocol or 'offsets only'})"
    return kind


@command(READ_AGAIN, BOOTSTRAP, JSON, of="groups")
def groups_list(*, bootstrap: str | None, as_json: bool) -> None:
    """List every group with its kind and state."""
    with open_groups(bootstrap) as groups:
        known = groups.all()
    if as_json:
        print_json([asdict(group) for group in known])
    elif not known:
        console().print("the cluster has no groups")
    else:
        print_rows(("GROUP", "KIND", "STATE"), [(group.name, kind_of(group), group.state) for group in known])


@command(READ_AGAIN, GROUP, BOOTSTRAP, JSON, of="groups")
def groups_describe(*, group: str, bootstrap: str | None, as_json: bool) -> None:
    """Show a group's members, committed offsets and lag."""
    from newsroom.access import Right
    from newsroom_stack.cluster.groups import OTHER_TOOLS

    with open_groups(bootstrap) as groups:
        description = groups.get(group)
        members = groups.members(description)
        standings = [] if description.type in OTHER_TOOLS else groups.standings(group)
    owners = {place: member.client for member in members for place in member.partitions}
    if as_json:
        data = asdict(description) | {"members": [asdict(member) for member in members]}
        print_json(data | {"partitions": [asdict(standing) | {"lag": standing.lag} for standing in standings]})
        return
    console().print(f"{group}: {kind_of(description)} group, {description.state}, {len(members)} members", markup=False)
    if tool := OTHER_TOOLS.get(description.type):
        console().print(f"its offsets and members: newsroom kafka {tool} --describe --group {group}", markup=False)
    elif standings:
        print_standings(standings, owners)
    else:
        hidden = groups.cluster.or_hidden(Right("DESCRIBE", "topic", "*"))
        console().print(f"it has committed nothing{hidden}", markup=False)


def print_standings(standings: Sequence[Standing], owners: dict[tuple[str, int], str]) -> None:
    """Print where a group stands, one line for each partition."""
    rows = [
        (
            *(standing.topic, standing.partition, standing.committed, standing.end, standing.lag),
            owners.get((standing.topic, standing.partition)),
        )
        for standing in standings
    ]
    columns = ("TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER")
    print_rows(columns, rows, right=("PARTITION", "COMMITTED", "END", "LAG"))


@command(
    READ_AGAIN,
    GROUP,
    argument(
        "--to",
        required=True,
        metavar="PLACE",
        help="earliest, latest, a time (2026-11-26T18:00:00 in UTC, or 10m for ten minutes ago), an offset (42), "
        "or records back (-100) or on (+100)",
    ),
    argument(
        "--topic",
        action="append",
        default=[],
        dest="chosen",
        metavar="T[:P]",
        help="only this topic, or these partitions of it; repeat the option for several (default: what is committed)",
        completer=topics,
    ),
    EXECUTE,
    BOOTSTRAP,
    JSON,
    of="groups",
)
def groups_reset(
    *, group: str, to: str, chosen: list[str], execute: bool, bootstrap: str | None, as_json: bool
) -> None:
    """Set the committed offsets of a group without members, so that it reads again or skips."""
    from newsroom.access import Right
    from newsroom_stack.cluster.resets import parse_target, parse_topics, plan

    target = parse_target(to)
    with open_groups(bootstrap) as groups:
        cluster = groups.cluster
        places = parse_topics(cluster, chosen)
        groups.check_idle(group)
        committed = groups.committed(group)
        places = places or [place for place in committed if place[1] in cluster.topics().get(place[0], ())]
        if not places:
            hidden = cluster.or_hidden(Right("DESCRIBE", "topic", "*"))
            raise StackError(
                f"group {group} has committed nothing at {cluster.address}{hidden}: name a topic with --topic"
            )
        refuse_a_stream(groups, group)
        moves = plan(cluster, target, committed, places)
        if execute:
            groups.set_offsets(group, {(move.topic, move.partition): move.new for move in moves})
    print_moves(group, moves, executed=execute, as_json=as_json)


def refuse_a_stream(groups: Groups, group: str) -> None:
    """Refuse a group whose state must go together with its offsets.

    Raises:
        StackError: the group has a changelog, or its commits say that it is a stream's.
    """
    changelogs = [name for name in groups.cluster.topics() if name.startswith(f"changelog__{group}--")]
    # Who may not describe a changelog does not see it.
    if changelogs or groups.outputs(group):
        state = ", ".join(changelogs) or "a changelog"
        raise StackError(
            f"group {group} keeps a state in {state}, and offsets alone would count records twice or "
            f"not at all: 'newsroom replay wordcount-stream' rebuilds the word count as a whole"
        )


def print_moves(group: str, moves: Sequence[Move], *, executed: bool, as_json: bool) -> None:
    """Print what a reset does, or did."""
    if as_json:
        rows: list[dict[str, Any]] = [asdict(move) | {"again": move.again, "skipped": move.skipped} for move in moves]
        print_json({"group": group, "executed": executed, "partitions": rows})
        return
    columns = ("TOPIC", "PARTITION", "FROM", "TO", "AGAIN", "SKIPPED")
    rows_of_moves = [(move.topic, move.partition, move.old, move.new, move.again, move.skipped) for move in moves]
    print_rows(columns, rows_of_moves, right=columns[1:])
    again, skipped = sum(move.again for move in moves), sum(move.skipped for move in moves)
    done = "is set" if executed else "would be set; --execute does it"
    console().print(f"group {group} {done}: {again:,} records to read again, {skipped:,} to skip", markup=False)


@command(READ_AGAIN, GROUP, EXECUTE, BOOTSTRAP, of="groups")
def groups_delete(*, group: str, execute: bool, bootstrap: str | None) -> None:
    """Delete a group without members, and its committed offsets with it."""
    with open_groups(bootstrap) as groups:
        groups.get(group)
        groups.check_idle(group)
        refuse_a_stream(groups, group)
        standings = groups.standings(group)
        if standings:
            print_standings(standings, {})
        if execute:
            groups.delete(group)
    done = "is deleted" if execute else "would be deleted with these offsets; --execute does it"
    console().print(f"group {group} {done}", markup=False)
