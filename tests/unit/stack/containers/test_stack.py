"""Containers as the stack's instances, with an engine that only answers lists."""

import gc
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from newsroom_stack.containers import stack as module
from newsroom_stack.containers.stack import ContainerOwner, ContainerStack
from newsroom_stack.errors import StackError
from newsroom_stack.interface import State
from newsroom_stack.layout import REPOSITORY
from newsroom_stack.settings import StackSettings

MIB = 1024**2


@dataclass
class FakeContainer:
    """One container as docker's client shows it."""

    service: str
    number: int = 1
    status: str = "running"
    health: str = "healthy"
    code: int = 0
    ports: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    folder: Path = REPOSITORY

    @property
    def id(self) -> str:
        return f"id of {self.name}"

    @property
    def name(self) -> str:
        return f"project-{self.service}-{self.number}"

    @property
    def labels(self) -> dict[str, str]:
        return {
            "com.docker.compose.service": self.service,
            "com.docker.compose.container-number": str(self.number),
            "com.docker.compose.project.working_dir": str(self.folder),
        }

    @property
    def attrs(self) -> dict[str, Any]:
        state: dict[str, Any] = {"Pid": 42 if self.status == "running" else 0, "ExitCode": self.code}
        return {"State": state | {"Health": {"Status": self.health}}, "RestartCount": 3}

    def stats(self, **_: object) -> dict[str, Any]:
        if self.status != "running":
            raise NotFound("gone")
        return {"memory_stats": {"usage": 100 * MIB, "stats": {"inactive_file": 40 * MIB}}}

    def logs(self, **_: object) -> bytes:
        return b"one\ntwo \xff\n"

    def reload(self) -> None:
        self.done.append("reload")

    def kill(self, number: str) -> None:
        self.done.append(f"kill {number}")
        self.status, self.code = "exited", 137

    def pause(self) -> None:
        self.status = "paused"

    def unpause(self) -> None:
        self.status = "running"

    def restart(self, timeout: int) -> None:
        self.done.append(f"restart {timeout}")
        self.status = "running"


@pytest.fixture
def there() -> list[FakeContainer]:
    return [
        FakeContainer("status-api", ports={"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8000"}]}),
        FakeContainer("avro-consumer", 2),
        FakeContainer("avro-consumer", 1),
        FakeContainer("provision", status="exited"),
        FakeContainer("kafka-1", ports={"9092/tcp": [{"HostIp": "127.0.0.1", "HostPort": "29092"}], "9093/tcp": None}),
    ]


@pytest.fixture
def stack(there: list[FakeContainer], monkeypatch: pytest.MonkeyPatch) -> ContainerStack:
    made = ContainerStack(StackSettings(docker=True))
    vars(made.compose)["project"] = "project"
    engine = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: there))
    monkeypatch.setattr(made, "_engine", lambda: engine)
    return made


def test_instances_have_the_names_of_the_processes_in_the_order_of_the_table(stack: ContainerStack) -> None:
    instances = stack.ps()
    assert [(instance.name, instance.service, instance.role) for instance in instances] == [
        ("kafka-1", "kafka", "broker"),
        ("avro-consumer-1", "avro-consumer", "service"),
        ("avro-consumer-2", "avro-consumer", "service"),
        ("status-api", "status-api", "service"),
    ]
    assert [instance.address for instance in instances] == [
        "localhost:29092",
        "http://project-avro-consumer-1:8000",
        "http://project-avro-consumer-2:8000",
        "http://localhost:8000",
    ]
    assert {(row.state, row.ready, row.restarts, row.pid, row.memory_bytes // MIB) for row in instances} == {
        (State.RUNNING, True, 3, 42, 60)
    }


@pytest.mark.parametrize(
    ("container", "state"),
    [
        (FakeContainer("connect", health="starting"), State.RUNNING),
        (FakeContainer("connect", health="unhealthy"), State.RUNNING),
        (FakeContainer("connect", status="paused"), State.PAUSED),
        (FakeContainer("connect", status="exited", code=1), State.EXITED),
        (FakeContainer("connect", status="exited", code=137), State.KILLED),
        (FakeContainer("connect", status="restarting", code=1), State.STARTING),
        (FakeContainer("connect", status="dead"), State.FAILED),
    ],
)
def test_an_instance_is_ready_only_when_it_runs_and_is_healthy(
    stack: ContainerStack, there: list[FakeContainer], container: FakeContainer, state: State
) -> None:
    there[:] = [container]
    (instance,) = stack.ps()
    assert (instance.state, instance.ready) == (state, False)


def test_a_failed_job_is_shown(stack: ContainerStack, there: list[FakeContainer]) -> None:
    there[:] = [FakeContainer("provision", status="exited", code=1)]
    assert [instance.name for instance in stack.ps()] == ["provision"]


def test_a_name_means_an_instance_or_all_of_a_service(stack: ContainerStack) -> None:
    assert [instance.number for instance in stack.find("avro-consumer-2")] == [2]  # type: ignore[attr-defined]
    assert len(stack.find("avro-consumer")) == 2
    assert len(stack.find("kafka")) == 1
    with pytest.raises(StackError, match=r"there is no 'avro-consumer-3' in this stack: kafka-1, avro-consumer-1"):
        stack.find("avro-consumer-3")


def test_faults_reach_the_containers(stack: ContainerStack, there: list[FakeContainer]) -> None:
    assert stack.kill("avro-consumer-1") == [
        "avro-consumer-1: killed (SIGKILL); it stays down until 'newsroom --docker restart avro-consumer-1'"
    ]
    assert "kill SIGKILL" in there[2].done
    assert stack.pause("kafka-1") == ["kafka-1: paused"]
    assert stack.restart("kafka-1") == ["kafka-1: restarted and ready"]
    assert "restart 30" in there[4].done
    assert stack.resume("kafka-1") == ["kafka-1 is not paused"]
    assert stack.pause("status-api") == ["status-api: paused"]
    assert stack.resume("status-api") == ["status-api: resumed"]


def test_what_the_engine_refuses_is_a_sentence(
    stack: ContainerStack, there: list[FakeContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotFound("404", explanation="No such container: abc")

    there[:] = [FakeContainer("connect", status="paused")]
    for act in ("unpause", "exec_run", "reload"):
        monkeypatch.setattr(there[0], act, refuse, raising=False)
    for ask in (
        lambda: stack.resume("connect"),
        lambda: stack.execute("connect", "true"),
        lambda: stack.kill("connect"),
    ):
        with pytest.raises(StackError, match="connect: No such container: abc"):
            ask()


def test_who_does_not_get_healthy_is_named_with_what_is_seen(
    stack: ContainerStack, there: list[FakeContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READY_SECONDS", 0.0)
    there[:] = [FakeContainer("connect", health="unhealthy")]
    with pytest.raises(StackError, match="waited 0 s for connect to be healthy: it is running, unhealthy"):
        stack.restart("connect")


def test_logs_are_pairs_of_instance_and_line(stack: ContainerStack) -> None:
    assert list(stack.logs("avro-consumer-2")) == [
        ("avro-consumer-2", "one"),
        ("avro-consumer-2", "two \N{REPLACEMENT CHARACTER}"),
    ]


def test_what_cannot_be_scaled_is_refused(stack: ContainerStack) -> None:
    with pytest.raises(StackError, match="status-api cannot run with 2 replicas"):
        stack.scale("status-api", 2)
    with pytest.raises(StackError, match="there is no service 'kafka'"):
        stack.scale("kafka", 4)


def test_a_clone_takes_over_nothing_of_another_clone_with_the_same_project_name(
    stack: ContainerStack, there: list[FakeContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(stack.compose, "run", lambda *arguments, **_: commands.append(arguments))
    stack.up()
    stack.down(wipe=True)
    assert len(commands) == 2
    there[0].folder = Path("/other/newsroom")
    for act in (stack.up, lambda: stack.down(wipe=True)):
        with pytest.raises(StackError, match="project belongs to the clone in /other/newsroom: give this one its own"):
            act()
    assert len(commands) == 2


def test_scaling_one_service_names_no_other(stack: ContainerStack, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(stack.compose, "run", lambda *arguments, **_: commands.append(arguments))
    stack.scale("avro-consumer", 3)
    (command,) = commands
    assert command[-2:] == ("avro-consumer=3", "avro-consumer")
    assert {"--no-deps", "--no-recreate"} <= set(command)


def test_news_are_changes_of_state(
    stack: ContainerStack, there: list[FakeContainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        there[0].status, there[0].health = "exited", "unhealthy"
        del there[1]

    changes = [change, there.clear]
    monkeypatch.setattr("time.sleep", lambda _: changes.pop(0)())
    assert list(ContainerOwner(stack, None).news()) == [
        "avro-consumer-2: running, healthy → not there",
        "status-api: running, healthy → exited, unhealthy",
    ]


def test_the_time_of_an_owned_stack_ends(stack: ContainerStack) -> None:
    assert list(ContainerOwner(stack, 0.0).news()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_without_an_engine_the_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    made = ContainerStack(StackSettings(docker=True))
    vars(made.compose)["project"] = "project"
    with pytest.raises(StackError, match=r"no Docker engine answers .*: start it, or leave out --docker"):
        made.ps()
    # docker's client leaves its socket to the garbage collector when its constructor fails.
    gc.collect()


def test_a_stack_in_the_background_has_nobody_to_stop_it(stack: ContainerStack) -> None:
    with pytest.raises(StackError, match="leave out --detach or --for"):
        stack.up(run_for=1.0)


COMPOSE_LOGS = r"""#!/bin/sh
case "$*" in *"logs --follow"*) ;; *) exit 2 ;; esac
printf '\033[2Kavro-consumer-1  | history | of 1\r\n'
printf '\033[2Kkafka-1-1        | broker\n'
printf 'avro-consumer-1 exited with code 137\n'
printf '\033[2K\033[2Kavro-consumer-12 | it came later \377\n'
printf 'avro-consumer-1  | \n'
exec sleep 60
"""


def test_who_follows_a_service_sees_all_its_replicas_until_the_stack_ends(
    stack: ContainerStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(COMPOSE_LOGS)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with closing(stack.logs("avro-consumer", follow=True)) as lines:  # type: ignore[type-var]
        assert [next(lines), next(lines), next(lines)] == [
            ("avro-consumer-1", "history | of 1"),
            ("avro-consumer-12", "it came later \N{REPLACEMENT CHARACTER}"),
            ("avro-consumer-1", ""),
        ]
    assert next(stack.logs(follow=True))[0] == "avro-consumer-1"
    assert next(stack.logs("kafka", follow=True)) == ("kafka-1", "broker")


def test_who_follows_what_has_ended_sees_what_it_wrote(stack: ContainerStack) -> None:
    assert next(stack.logs("provision", follow=True)) == ("provision", "one")
