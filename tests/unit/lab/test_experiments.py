"""What holds for every experiment, before any is run."""

import inspect

import pytest

from newsroom_lab.experiment import Choice, Experiment, UnknownExperiment, experiment_of, experiments

EVERY = pytest.mark.parametrize("experiment", experiments().values(), ids=list(experiments()))


@EVERY
def test_an_experiment_is_whole(experiment: Experiment) -> None:
    assert experiment.question.endswith("?")
    assert len(experiment.why.split()) > 30
    if isinstance(experiment.predict, Choice):
        assert 0 <= experiment.predict.right < len(experiment.predict.options)


@EVERY
def test_its_wrong_answers_change_what_the_steps_do(experiment: Experiment) -> None:
    assert experiment.wrong
    defaults = {name: parameter.default for name, parameter in inspect.signature(experiment.steps).parameters.items()}
    for name, arguments in experiment.wrong.items():
        assert arguments.keys() <= defaults.keys(), name
        assert all(defaults[key] != value for key, value in arguments.items()), name


def test_a_mistyped_name_is_answered_with_similar_ones() -> None:
    with pytest.raises(UnknownExperiment, match="there is no experiment 'nokey': no-key"):
        experiment_of("nokey")
    assert experiment_of("no-key").name == "no-key"
