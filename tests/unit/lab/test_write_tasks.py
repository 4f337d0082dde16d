"""What holds for every task, before a program is tried."""

import ast
import io
import subprocess
from importlib import resources
from pathlib import Path

import fastavro
import pytest
from kafka.partitioner.default import murmur2

from newsroom_lab.cli import main
from newsroom_lab.write.commands import LANGUAGES, MEANINGS, description, gaps, skeleton, variables
from newsroom_lab.write.headlines import OPTIONAL, REQUIRED, SCHEMA, decode
from newsroom_lab.write.task import Act, Round, Task, UnknownTask, task_of, tasks
from newsroom_lab.write.tasks.keyed_producer import HOMES
from newsroom_stack.errors import StackError

EVERY = pytest.mark.parametrize("task", tasks().values(), ids=list(tasks()))
PAGE = Path(__file__).parents[3] / "docs" / "lab-write.md"


def test_there_are_twelve_tasks_the_easiest_first() -> None:
    assert [task.level for task in tasks().values()] == list(range(1, 13))
    assert next(iter(tasks())) == "string-producer"


@EVERY
def test_a_task_is_whole(task: Task) -> None:
    assert any(trial.quick for trial in task.rounds)
    assert all(task.promises.values())
    for topic in task.topics:
        assert f"LAB_{topic}" in task.text
    assert task.ends is ("INPUT" not in task.topics)


@EVERY
def test_the_page_explains_a_task_and_its_variables(task: Task) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"`{task.name}`" in page
    assert len(variables(task)) >= 6
    assert [name for name in variables(task) if f"`{name}`" not in page] == []


def test_the_page_says_of_a_variable_what_a_task_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name, meaning in MEANINGS.items() if f"| `{name}` | {meaning} |" not in page] == []


@EVERY
def test_the_text_of_a_task_has_its_rounds_and_promises(task: Task) -> None:
    text = description(task)
    for part in (*(chosen.name for chosen in task.rounds), *task.promises, *variables(task).values()):
        assert part in text


@EVERY
def test_a_skeleton_is_a_program_with_gaps(task: Task) -> None:
    program = skeleton(task, "python")
    assert gaps(program)
    ast.parse(program)


def test_a_gap_that_is_filled_is_no_longer_named() -> None:
    program = skeleton(task_of("string-producer"), "shell")
    first, *others = gaps(program)
    lines = program.splitlines()
    lines[first - 1] = "echo filled"
    assert gaps("\n".join(lines)) == others


@pytest.mark.parametrize(
    ("language", "third"),
    # kcat commits what it has read, whether or not its copy is sent: with it a consumer keeps no order.
    [("java", "consumer"), ("shell", "avro-producer")],
)
def test_three_tasks_have_skeletons_for_java_and_the_shell(language: str, third: str) -> None:
    folder = resources.files("newsroom_lab.write") / "skeletons"
    offered = [task for task in tasks() if (folder / f"{task}.{LANGUAGES[language]}").is_file()]
    assert offered == ["string-producer", "keyed-producer", third]
    for task in offered:
        assert gaps(skeleton(task_of(task), language))


@pytest.mark.parametrize("task", ["string-producer", "keyed-producer", "avro-producer"])
def test_the_shell_can_read_a_skeleton_of_its_own(task: str) -> None:
    program = skeleton(task_of(task), "shell")
    assert subprocess.run(["sh", "-n"], input=program, text=True, check=False, capture_output=True).stderr == ""


def test_a_skeleton_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(StackError, match=r"task join has no skeleton for java, but for python; COMMAND may be any"):
        skeleton(task_of("join"), "java")


def test_a_mistyped_task_is_answered_with_similar_ones() -> None:
    with pytest.raises(UnknownTask, match="there is no task 'at-least': at-least-once"):
        task_of("at-least")


def test_new_writes_the_skeleton_and_the_text_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mine"
    assert main(["new", "keyed-producer", str(folder)]) == 0
    assert "TODO" in (folder / "keyed_producer.py").read_text(encoding="utf-8")
    assert "LAB_SOURCE" in (folder / "TASK.txt").read_text(encoding="utf-8")
    assert "newsroom lab try keyed-producer -- python" in capsys.readouterr().out.replace("\n", " ")
    assert main(["new", "keyed-producer", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err.replace("\n", " ")


def test_homes_are_those_of_javas_partitioner() -> None:
    # The value of Kafka's own test of its hash.
    assert murmur2(b"foobar") & 0xFFFFFFFF == -790332482 & 0xFFFFFFFF
    assert len(HOMES) == 21
    assert set(HOMES.values()) == {0, 1, 2}


def test_a_value_is_decoded_with_its_own_schema_only() -> None:
    text = SCHEMA.read_text(encoding="utf-8")
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.schema.load_schema(str(SCHEMA)), {"title": "t", "media": "m"})
    value = b"\0\0\0\0\x05" + body.getvalue()
    assert decode(value, {5: text}) == {"title": "t", "media": "m"}
    assert decode(value, {5: text}, OPTIONAL.read_text(encoding="utf-8")) == {"title": "t", "media": "m", "test": None}
    assert decode(value, {5: text}, REQUIRED.read_text(encoding="utf-8")) is None
    for poison in (None, b"", b"not Avro", b"\0\0\0", b"\0\0\0\0\x06" + body.getvalue(), value + b"x", value[:-1]):
        assert decode(poison, {5: text}) is None


def test_only_what_moves_partitions_is_a_rebalance() -> None:
    assert Round("r", (Act.KILL, Act.BROKER, Act.JOIN, Act.REGISTRY)).rebalances == 2


def test_events_are_named_for_a_reader() -> None:
    assert all(" " in act.value for act in Act)
