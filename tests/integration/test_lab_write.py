"""Programs on the real cluster: right ones pass their tasks, wrong ones fail with the right promise named."""

import sys
from pathlib import Path

import pytest

from newsroom_lab.write.task import task_of
from newsroom_lab.write.trial import Trial, breaches
from support.pipeline import ProcessPipeline

pytestmark = pytest.mark.timeout(900)

PROGRAMS = Path(__file__).parents[1] / "lab_programs"
SEED = 2

STRINGS = "news-producer --format string --topic $LAB_OUTPUT"
REGISTRY = "--registry-url $LAB_REGISTRY"
AVRO = f"news-producer {REGISTRY} --topic $LAB_OUTPUT --source $LAB_SOURCE --schema-path $LAB_SCHEMA"
SHARED = "--consumer-group $LAB_GROUP --state-dir $LAB_SHARED"

SERVICES = {
    "string-producer": STRINGS,
    "keyed-producer": f"{STRINGS} --source $LAB_SOURCE --input-format jsonl",
    "avro-producer": AVRO,
    "evolution": AVRO,
    "dead-letters": "avro-consumer --topic $LAB_INPUT --group $LAB_GROUP --dlq-topic $LAB_DEAD_LETTERS "
    f"--state-dir $LAB_STATE --session-timeout 4 {REGISTRY}",
    "word-count": f"wordcount-stream {SHARED} --strings-topic $LAB_INPUT --news-topic none "
    "--deltas-topic $LAB_INTERNAL --counts-topic $LAB_OUTPUT",
    "join": f"join-service {SHARED} --labels-topic $LAB_INPUT --counts-topic $LAB_TABLE --joined-topic $LAB_OUTPUT",
}
"""Our own services: the model solutions."""

RIGHT = [
    *((task, ("sh", "-c", f"exec {line}")) for task, line in SERVICES.items()),
    *(
        (task, (sys.executable, str(PROGRAMS / f"{name}.py")))
        for task, name in (
            ("string-producer", "string_producer"),
            ("consumer", "at_least_once"),
            ("at-least-once", "at_least_once"),
            ("at-most-once", "at_most_once"),
            ("exactly-once", "exactly_once"),
            ("lag-monitor", "lag_monitor"),
        )
    ),
]

WRONG = [
    ("string-producer", "wrong_strings_unflushed", "nothing is lost"),
    ("string-producer", "wrong_strings_twice", "nothing is repeated"),
    ("keyed-producer", "wrong_crc_keys", "keys are at home"),
    ("consumer", "wrong_no_key", "nothing is changed"),
    ("consumer", "wrong_deaf", "it stops when told"),
    ("at-least-once", "wrong_commit_first", "nothing is lost"),
    ("at-least-once", "wrong_no_flush", "nothing is lost"),
    ("at-least-once", "wrong_never_commits", "progress is committed"),
    ("at-most-once", "wrong_commit_last", "nothing is repeated"),
    ("avro-producer", "wrong_json_values", "values are Avro with a schema id"),
    ("avro-producer", "wrong_impatient", "it ends as it should"),
    ("evolution", "wrong_ignores_refusal", "nothing of a refused schema"),
    ("dead-letters", "wrong_dies_of_poison", "members survive"),
    ("dead-letters", "wrong_blames_records", "only poison is a dead letter"),
    ("exactly-once", "wrong_offsets_outside", "nothing is repeated"),
    ("word-count", "wrong_counts_in_memory", "every count is right"),
    ("join", "wrong_join_stale", "results are right"),
    ("lag-monitor", "wrong_lag_joins", "the group is left alone"),
]

QUICK = {"string-producer", "keyed-producer", "wrong_strings_unflushed", "wrong_crc_keys", "wrong_commit_first"}
"""What `make test` tries, in less than a minute; `make lab-write` tries all."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All programs with `--whole`, otherwise the quick ones."""
    whole = metafunc.config.getoption("--whole")
    if "right" in metafunc.fixturenames:
        right = RIGHT if whole else [(task, command) for task, command in RIGHT if task in QUICK and command[0] == "sh"]
        metafunc.parametrize(
            "right", right, ids=[f"{task}-{Path(command[-1].split()[-1]).name}" for task, command in right]
        )
    elif "wrong" in metafunc.fixturenames:
        wrong = [program for program in WRONG if whole or program[1] in QUICK]
        metafunc.parametrize("wrong", wrong, ids=[program for _, program, _ in wrong])


def test_a_right_program_passes(
    pipeline: ProcessPipeline, right: tuple[str, tuple[str, ...]], pytestconfig: pytest.Config
) -> None:
    task, command = right
    trial = Trial(task_of(task), command, pipeline.stack, SEED)
    quick = not pytestconfig.getoption("--whole")
    for number, chosen in enumerate(trial.rounds(quick=quick), 1):
        judged = trial.run(number, chosen)
        assert judged.passed, judged


def test_a_wrong_program_breaks_its_promise(pipeline: ProcessPipeline, wrong: tuple[str, str, str]) -> None:
    task, program, promise = wrong
    trial = Trial(task_of(task), (sys.executable, str(PROGRAMS / f"{program}.py")), pipeline.stack, SEED)
    # The later rounds disturb more, and a wrong program needs one that shows it.
    for number, chosen in reversed(list(enumerate(trial.rounds(), 1))):
        if chosen.members > 1 or "broker" in chosen.name:
            continue
        judged = trial.run(number, chosen)
        assert not judged.trouble, judged
        if promise in breaches([judged]):
            assert breaches([judged])[promise].proof
            return
    pytest.fail(f"{program} kept '{promise}'")


def test_a_program_that_does_not_start_is_judged_without_the_rest_of_the_input(pipeline: ProcessPipeline) -> None:
    trial = Trial(task_of("consumer"), (sys.executable, "-c", "def ("), pipeline.stack, SEED)
    judged = trial.run(1, trial.rounds(quick=True)[0])
    promise, finding = next(iter(breaches([judged]).items()))
    assert promise == "members survive"
    assert "SyntaxError" in finding.proof
    notes = [note for _, note in judged.timeline]
    assert any("the round is over" in note for note in notes)
    assert not any("records are sent" in note for note in notes)
