"""What the audit of a learner's program finds, from made-up topics."""

import pytest

from newsroom_lab.write.audit import (
    Finding,
    all_committed,
    ended_well,
    exactly,
    keys_at_home,
    members_survive,
    nothing_foreign,
    nothing_lost,
    nothing_repeated,
    order_kept,
    order_of_keys,
    stops_in_time,
    values_by_key,
)
from newsroom_lab.write.task import Evidence, Round
from newsroom_lab.write.tasks import dead_letters
from newsroom_lab.write.trial import Judged, breaches
from newsroom_stack.pipeline.observe import Record


def records(*content: tuple[str, str], partition: int = 0, first: int = 0) -> list[Record]:
    return [
        Record(partition, first + place, key.encode(), value.encode(), {}) for place, (key, value) in enumerate(content)
    ]


SENT = records(("a", "1"), ("b", "2"), ("a", "3"))


def test_what_is_missing_is_named_with_its_place_in_the_input() -> None:
    finding = nothing_lost(SENT, [SENT[0], SENT[2]])
    assert (finding.kept, finding.figures) == (False, "lost 1")
    assert finding.proof == "no effect of the input's key 'b', value '2', partition 0, offset 1"


def test_so_much_may_be_lost_as_is_allowed() -> None:
    assert nothing_lost(SENT, SENT[:1], allowed=2) == Finding(
        "nothing is lost",
        True,
        "lost 2, allowed ≤ 2",
        "no effect of the input's key 'b', value '2', partition 0, offset 1",
    )
    assert not nothing_lost(SENT, SENT[:1], allowed=1).kept


def test_a_repeated_effect_is_named_with_both_places() -> None:
    effects = records(("a", "1"), ("b", "2"), ("a", "1"), first=7)
    finding = nothing_repeated(effects)
    assert (finding.kept, finding.figures) == (False, "repeated 1")
    assert finding.proof == "key 'a', value '1', partition 0, offset 9 is there already: partition 0, offset 7"
    assert nothing_repeated(effects, allowed=1).kept


def test_order_is_that_of_the_first_effects_of_a_key() -> None:
    assert order_kept(SENT, records(("b", "2"), ("a", "1"), ("a", "3"), ("a", "1"))).kept
    broken = order_kept(SENT, records(("a", "3"), ("a", "1")))
    assert (broken.kept, broken.figures) == (False, "order broken")
    assert "comes after '3', which was sent later" in broken.proof


def test_a_key_on_two_partitions_has_no_order() -> None:
    finding = order_kept(SENT, [*records(("a", "1")), *records(("a", "3"), partition=1)])
    assert (finding.kept, finding.figures) == (False, "a key on two partitions")


def test_a_changed_effect_is_foreign() -> None:
    assert nothing_foreign(SENT, SENT).kept
    assert nothing_foreign(SENT, records(("a", "one"))).proof.startswith("key 'a', value 'one'")


@pytest.mark.parametrize(
    ("output", "broken"),
    [
        (records(("a", "1"), ("b", "2")), []),
        (records(("a", "1")), ["nothing is lost"]),
        (records(("a", "1"), ("b", "2"), ("b", "2")), ["nothing is repeated"]),
        (records(("a", "1"), ("b", "2"), ("c", "3")), ["nothing is changed"]),
    ],
)
def test_an_output_is_exactly_as_expected(output: list[Record], broken: list[str]) -> None:
    findings = exactly([(b"a", b"1"), (b"b", b"2")], output)
    assert [finding.promise for finding in findings if not finding.kept] == broken


def test_the_values_of_a_key_come_in_their_order_on_one_partition() -> None:
    expected = [(b"a", b"1"), (b"a", b"2")]
    assert order_of_keys(expected, records(("a", "1"), ("a", "2"))).kept
    assert order_of_keys(expected, records(("a", "2"), ("a", "1"))).proof.startswith("key 'a', value '1'")
    assert not order_of_keys(expected, [*records(("a", "1")), *records(("a", "2"), partition=2)]).kept


def test_a_key_has_the_partition_of_javas_clients() -> None:
    assert keys_at_home(SENT, {b"a": 0, b"b": 0}).kept
    finding = keys_at_home(SENT, {b"a": 0, b"b": 2})
    assert (finding.kept, finding.figures) == (False, "astray 1")
    assert finding.proof.endswith("Java's partitioner puts it on 2")


def test_the_last_value_of_a_key_counts() -> None:
    table = records(("a", "1"), ("a", "2"))
    assert values_by_key("counts", {b"a": b"2"}, table).kept
    finding = values_by_key("counts", {b"a": b"3", b"b": b"1"}, table)
    assert (finding.kept, finding.figures) == (False, "2 of 2 wrong")
    assert finding.proof == "key 'a' must be '3': key 'a', value '2', partition 0, offset 1"


def test_what_a_program_did_besides() -> None:
    assert all_committed(0).kept
    assert not all_committed(3).kept
    assert members_survive([], 1).figures == "rebalance survived"
    assert members_survive(["member 1 ended"], 1) == Finding("members survive", False, "ended 1", "member 1 ended")
    assert stops_in_time(1.23).figures == "stop in 1.2 s"
    assert not stops_in_time(10.4).kept


@pytest.mark.parametrize(
    ("codes", "refused", "kept"),
    [
        ([0], False, True),
        ([1], False, False),
        ([None], False, False),
        ([1], True, True),
        ([0], True, False),
        ([None], True, False),
    ],
)
def test_how_a_program_ends(codes: list[int | None], refused: bool, kept: bool) -> None:
    assert ended_well(codes, refused=refused).kept is kept


def test_what_ended_a_member_is_named_before_what_followed_from_it() -> None:
    rest = [nothing_lost(SENT, []), all_committed(3)]
    judged = Judged(Round("calm"), [*rest, members_survive(["member 1 ended by itself"], 0)], [])
    assert list(breaches([judged])) == ["members survive", "nothing is lost", "progress is committed"]


def test_a_healthy_dead_letter_with_its_origin_breaks_one_promise_only() -> None:
    records = {
        "INPUT": [Record(0, 7, b"poison-1", b"not Avro", {}), Record(1, 9, b"key1", b"Avro", {})],
        "DEAD_LETTERS": [
            Record(0, 0, b"poison-1", b"not Avro", {"origin.offset": b"7"}),
            Record(0, 1, b"key1", b"Avro", {"origin.offset": b"9"}),
        ],
    }
    evidence = Evidence(Round("r"), records, lag=0, deaths=[], stop_seconds=0, codes=[], lines=[])
    broken = [finding.promise for finding in dead_letters.audit(evidence) if not finding.kept]
    assert broken == ["only poison is a dead letter"]
