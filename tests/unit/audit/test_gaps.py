import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsroom_audit.checks.gaps import Fault, Gaps, acknowledgement_gaps, commit_gaps, find_gaps, output_gaps
from newsroom_audit.history import Sample
from newsroom_audit.ledger import Entry, Ledger, Outcome

TIMES = st.lists(st.integers(0, 1000).map(float), max_size=30)


def test_a_gap_counts_from_the_first_input_in_it() -> None:
    gaps = find_gaps("x", outputs=[1.0, 2.0, 9.0], inputs=[0.5, 1.5, 5.0])
    assert gaps.longest is not None
    assert (gaps.number, gaps.max, gaps.longest.start, gaps.longest.end) == (3, 4.0, 5.0, 9.0)
    assert gaps.p50 == 0.5


def test_silence_without_input_is_no_gap() -> None:
    assert find_gaps("x", outputs=[1.0, 100.0], inputs=[0.5]) == find_gaps("x", outputs=[1.0], inputs=[0.5])
    assert find_gaps("x", outputs=[1.0, 100.0], inputs=[]) == Gaps("x")


def test_an_output_that_never_came_is_a_gap_to_the_end() -> None:
    assert find_gaps("x", outputs=[1.0], inputs=[0.5, 2.0], end=10.0).max == 8.0
    assert find_gaps("x", outputs=[], inputs=[2.0], end=10.0).max == 8.0


def test_the_longest_gap_of_each_fault_is_told() -> None:
    faults = [Fault("kill", 3.0, 4.0), Fault("pause", 20.0, 21.0), Fault("calm", 100.0, 101.0)]
    inputs = [float(second) for second in range(30)]
    outputs = [float(second) + 0.5 for second in range(30) if second not in {3, 4, 5, 20}]
    gaps = find_gaps("x", outputs, inputs, faults=faults)
    assert gaps.by_fault == {"kill": 3.5, "pause": 1.5, "calm": 0.0}
    assert gaps.max == 3.5
    assert gaps.p50 == 0.5


@given(outputs=TIMES, inputs=TIMES)
def test_every_gap_begins_with_an_input_and_ends_with_an_output(outputs: list[float], inputs: list[float]) -> None:
    gaps = find_gaps("x", outputs, inputs)
    if gaps.longest is not None:
        assert gaps.longest.start in inputs
        assert gaps.longest.end in outputs
        assert 0 <= gaps.p50 <= gaps.p99 <= gaps.max


def test_acknowledgements_outputs_and_commits_have_gaps() -> None:
    entries = [Entry(f"r-{n}", n, "mytopic", sent=float(n), outcome=Outcome.ACKNOWLEDGED) for n in range(5)]
    for entry, settled in zip(entries, (0.1, 1.1, 7.0, 7.1, 7.2), strict=True):
        entry.settled, entry.offset = settled, 0
    ledger = Ledger("r", entries={entry.id: entry for entry in entries})
    assert acknowledgement_gaps([ledger]).max == pytest.approx(5.0)
    totals = (0, 1, 1, 1, 4)
    samples = [Sample(float(n), {("g", "t"): {0: total}}, *[{"out": {0: total}}] * 2) for n, total in enumerate(totals)]
    inputs = [entry.sent for entry in entries]
    assert output_gaps("out", samples, inputs).max == 2.0
    assert commit_gaps("g", samples, inputs).max == 2.0
    assert output_gaps("out", [], inputs) == Gaps("out")
