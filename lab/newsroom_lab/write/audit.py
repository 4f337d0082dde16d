"""What the topics prove about a program: one finding for each promise. Pure functions, which know no Kafka client."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from newsroom_stack.pipeline.observe import Record

STOP_SECONDS = 10.0
"""How long a program may take to end after SIGTERM."""

LONGEST_TEXT = 60

MEMBERS_SURVIVE = "members survive"


@dataclass(frozen=True)
class Finding:
    """Whether one promise was kept in one round."""

    promise: str
    kept: bool
    figures: str
    proof: str = ""
    """The first record that proves that it was broken."""


def text(data: bytes | None) -> str:
    """A key or a value as a reader sees it."""
    return "none" if data is None else repr(data.decode(errors="backslashreplace"))[:LONGEST_TEXT]


def place(record: Record) -> str:
    """A record with where it lies."""
    return f"key {text(record.key)}, value {text(record.value)}, partition {record.partition}, offset {record.offset}"


def count(word: str, number: int, allowed: int) -> str:
    """`lost 0`, or `repeated 14, allowed ≤ 500`."""
    return f"{word} {number}" + (f", allowed ≤ {allowed}" if allowed else "")


def _content(record: Record) -> tuple[bytes | None, bytes | None]:
    return record.key, record.value


def nothing_lost(sent: Sequence[Record], effects: Sequence[Record], allowed: int = 0) -> Finding:
    """Each record of the input has its effect."""
    there = {_content(record) for record in effects}
    missing = [record for record in sent if _content(record) not in there]
    proof = f"no effect of the input's {place(missing[0])}" if missing else ""
    return Finding("nothing is lost", len(missing) <= allowed, count("lost", len(missing), allowed), proof)


def nothing_repeated(effects: Sequence[Record], allowed: int = 0) -> Finding:
    """No record has its effect twice."""
    first: dict[tuple[bytes | None, bytes | None], Record] = {}
    again = []
    for record in effects:
        if _content(record) in first:
            again.append(record)
        else:
            first[_content(record)] = record
    proof = ""
    if again:
        earlier = first[_content(again[0])]
        proof = f"{place(again[0])} is there already: partition {earlier.partition}, offset {earlier.offset}"
    return Finding("nothing is repeated", len(again) <= allowed, count("repeated", len(again), allowed), proof)


def order_kept(sent: Sequence[Record], effects: Sequence[Record]) -> Finding:
    """The first effects of a key's records are on one partition, in the order of the input."""
    places = {_content(record): (record.partition, record.offset) for record in sent}
    last: dict[bytes | None, tuple[tuple[int, int], Record]] = {}
    known = set()
    for record in effects:
        content = _content(record)
        if content in known or content not in places:
            continue
        known.add(content)
        before = last.get(record.key)
        if before is not None and before[1].partition != record.partition:
            proof = f"{place(record)}; an earlier record of the key is on partition {before[1].partition}"
            return Finding("order is kept", kept=False, figures="a key on two partitions", proof=proof)
        if before is not None and before[0] > places[content]:
            proof = f"{place(record)} comes after {text(before[1].value)}, which was sent later"
            return Finding("order is kept", kept=False, figures="order broken", proof=proof)
        last[record.key] = (places[content], record)
    return Finding("order is kept", kept=True, figures="order kept")


def nothing_foreign(sent: Iterable[Record], effects: Sequence[Record]) -> Finding:
    """Every effect is that of a record of the input, unchanged."""
    known = {_content(record) for record in sent}
    foreign = [record for record in effects if _content(record) not in known]
    proof = f"{place(foreign[0])} is not in the input" if foreign else ""
    return Finding("nothing is changed", not foreign, count("changed", len(foreign), 0), proof)


def exactly(expected: Sequence[tuple[bytes, bytes]], effects: Sequence[Record]) -> list[Finding]:
    """The output has these keys and values, each once, and no other."""
    wanted: Counter[tuple[bytes | None, bytes | None]] = Counter(expected)
    contents = set(map(_content, effects))
    missing = list((wanted - Counter(contents)).elements())
    extra = [record for record in effects if _content(record) not in wanted]
    lost = f"no record with key {text(missing[0][0])} and value {text(missing[0][1])}" if missing else ""
    return [
        Finding("nothing is lost", not missing, count("lost", len(missing), 0), lost),
        nothing_repeated(effects),
        Finding("nothing is changed", not extra, count("changed", len(extra), 0), place(extra[0]) if extra else ""),
    ]


def keys_at_home(effects: Sequence[Record], homes: Mapping[bytes | None, int]) -> Finding:
    """Each key is on the partition where Java's clients look for it."""
    astray = [record for record in effects if homes.get(record.key, record.partition) != record.partition]
    proof = f"{place(astray[0])}: Java's partitioner puts it on {homes[astray[0].key]}" if astray else ""
    return Finding("keys are at home", not astray, count("astray", len(astray), 0), proof)


def values_by_key(name: str, expected: Mapping[bytes, bytes], effects: Sequence[Record]) -> Finding:
    """The last value of each key is as expected."""
    last = {record.key: record for record in effects}
    wrong = [key for key, value in expected.items() if key not in last or last[key].value != value]
    proof = ""
    if wrong:
        key = wrong[0]
        actual = place(last[key]) if key in last else "no record"
        proof = f"key {text(key)} must be {text(expected[key])}: {actual}"
    return Finding(name, not wrong, f"{len(wrong)} of {len(expected)} wrong", proof)


def all_committed(lag: int) -> Finding:
    """The group has committed everything that it was sent."""
    proof = f"{lag} records of the input are not committed at the end" if lag else ""
    return Finding("progress is committed", lag == 0, f"lag {lag}", proof)


def members_survive(deaths: Sequence[str], rebalances: int) -> Finding:
    """No member ended by itself."""
    name = "rebalance survived" if rebalances else "stayed alive"
    return Finding(MEMBERS_SURVIVE, not deaths, f"ended {len(deaths)}" if deaths else name, "".join(deaths[:1]))


def stops_in_time(seconds: float) -> Finding:
    """The program ends when it gets SIGTERM."""
    late = seconds > STOP_SECONDS
    proof = f"it had not ended {STOP_SECONDS:g} s after SIGTERM" if late else ""
    return Finding("it stops when told", not late, f"stop in {min(seconds, STOP_SECONDS):.1f} s", proof)


def ended_well(codes: Sequence[int | None], *, refused: bool = False) -> Finding:
    """The program ended by itself with exit code 0, or with another one where it must refuse."""
    bad = [code for code in codes if code is None or (code == 0) is refused]
    shown = ", ".join("none" if code is None else str(code) for code in codes)
    wanted = "another code than 0" if refused else "code 0"
    proof = f"exit code {shown} (none: it did not end), and {wanted} was due" if bad else ""
    return Finding("it ends as it should", not bad, f"exit code {shown}", proof)


def by_key(records: Iterable[Record]) -> dict[bytes | None, list[Record]]:
    """The records of each key, in their order."""
    groups: dict[bytes | None, list[Record]] = defaultdict(list)
    for record in records:
        groups[record.key].append(record)
    return groups


def order_of_keys(expected: Sequence[tuple[bytes, bytes]], effects: Sequence[Record]) -> Finding:
    """Each key's values are on one partition, in the order in which they had to be sent."""
    values: dict[bytes | None, list[bytes]] = defaultdict(list)
    for key, value in expected:
        values[key].append(value)
    for name, records in by_key(effects).items():
        homes = {record.partition for record in records}
        ranks = [values[name].index(record.value) for record in records if record.value in values[name]]
        if len(homes) > 1:
            proof = f"{place(records[-1])}; another record of the key is on partition {min(homes)}"
            return Finding("order is kept", kept=False, figures="a key on two partitions", proof=proof)
        if ranks != sorted(ranks):
            later = next(r for r, (a, b) in zip(records[1:], pairwise(ranks), strict=False) if a > b)
            return Finding("order is kept", kept=False, figures="order broken", proof=f"{place(later)} comes too late")
    return Finding("order is kept", kept=True, figures="order kept")
