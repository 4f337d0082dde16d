"""The quick experiments of the lab on a real cluster: each passes, and each of its wrong answers fails."""

import pytest

from newsroom_lab.experiment import experiments
from newsroom_lab.record import Verdict
from newsroom_lab.runner import run_experiment
from support.pipeline import ProcessPipeline

QUICK = [each for each in experiments().values() if each.quick]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [(each.name, wrong) for each in QUICK for wrong in ("", *each.wrong)],
)
def test_an_experiment_passes_and_refutes_its_wrong_answers(pipeline: ProcessPipeline, name: str, wrong: str) -> None:
    outcome = run_experiment(experiments()[name], pipeline.stack, wrong=wrong)
    assert outcome.verdict is (Verdict.FAIL if wrong else Verdict.PASS), outcome.as_json()
