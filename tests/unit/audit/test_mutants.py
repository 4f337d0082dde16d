"""Trust in the judge: it finds nothing in a correct history, and names each single mutation of it."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsroom_audit.checks import sink
from newsroom_audit.findings import Kind
from newsroom_audit.judge import Case, judge
from newsroom_audit.report import Report
from unit.audit.histories import FakeReader, History, Model, decode, seeded
from unit.audit.mutants import MUTANTS, Mutation

SEEDS = st.integers(0, 2**32 - 1)
NAMES = [mutation.__name__ for _, mutation in MUTANTS]


def audit(history: History, **options: object) -> Report:
    """Judge a history as if a cluster and a sink file held it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sink, "read_sinks", lambda _: history.lines)
        case = Case([history.ledger], history.samples, sinks=[Path("consumed-0.jsonl")], **options)  # type: ignore[arg-type]
        return judge(FakeReader(history), case, decode)


@given(SEEDS)
def test_a_correct_history_is_clean(seed: int) -> None:
    history = Model(seed).run()
    report = audit(history, exclusive=frozenset({"mytopic", "news", "word"}))
    assert report.examples == [example for example in report.examples if example.kind is Kind.UNMATCHED]
    assert report.exit_code == 0
    assert report.produced == report.verified == len(history.ledger.entries) > 0


@pytest.mark.parametrize(("kind", "mutation"), MUTANTS, ids=NAMES)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_every_mutation_is_found_and_named(kind: Kind, mutation: Mutation, seed: int) -> None:
    history = mutation(Model(seed).run(), seeded(seed))
    if history is not None:
        report = audit(history)
        assert report.numbers[kind], report.lines()
        assert report.exit_code == int(kind.wrong)


def test_every_mutation_applies_to_most_histories() -> None:
    seeds = range(20)
    cases = [(mutation, seed) for _, mutation in MUTANTS for seed in seeds]
    applied = Counter(mutation.__name__ for mutation, seed in cases if mutation(Model(seed).run(), seeded(seed)))
    assert {name: applied[name] for name in NAMES if applied[name] < len(seeds) / 2} == {}


def test_one_lost_record_among_thousands_is_found() -> None:
    history = Model(1).run(steps=400)
    records = history.topics["mytopic"].records
    victim = records[len(records) // 2]
    report = audit(history.replace("mytopic", [record for record in records if record != victim]))
    assert report.numbers[Kind.LOST] == 1
    assert report.examples[0].sentence.startswith(f"{victim.place}: record {victim.id} was acknowledged")
