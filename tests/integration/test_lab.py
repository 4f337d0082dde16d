"""Experiments of the lab on a real cluster: each passes, and each of its wrong answers fails."""

import pytest

from newsroom_lab.experiment import experiments
from newsroom_lab.record import Verdict
from newsroom_lab.runner import run_experiment
from support.pipeline import ProcessPipeline

pytestmark = pytest.mark.timeout(600)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All experiments with `--whole`, otherwise the quick ones."""
    whole = metafunc.config.getoption("--whole")
    chosen = [experiment for experiment in experiments().values() if experiment.quick or whole]
    metafunc.parametrize(
        ("name", "wrong"), [(experiment.name, wrong) for experiment in chosen for wrong in ("", *experiment.wrong)]
    )


def test_an_experiment_passes_and_refutes_its_wrong_answers(pipeline: ProcessPipeline, name: str, wrong: str) -> None:
    outcome = run_experiment(experiments()[name], pipeline.stack, wrong=wrong)
    assert outcome.verdict is (Verdict.FAIL if wrong else Verdict.PASS), outcome.as_json()
