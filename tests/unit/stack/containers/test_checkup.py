"""What the engine says of a container, and what the doctor makes of it."""

from typing import Any

import pytest

from newsroom_stack.containers.checkup import ailment

NETWORK = "newsroom_default"


def attributes(restarts: int = 0, *, alias: str = "kafka-2", **state: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "State": {"Status": "running", "OOMKilled": False, "ExitCode": 1, **state},
        "RestartCount": restarts,
        "HostConfig": {"Memory": 768 * 1024**2},
        "NetworkSettings": {"Networks": {NETWORK: {"Aliases": ["newsroom-kafka-2-1", alias]}}},
    }


def unhealthy(*outputs: str) -> dict[str, Any]:
    return {"Status": "unhealthy", "Log": [{"Output": output} for output in outputs]}


@pytest.mark.parametrize("well", [attributes(), attributes(2), attributes(Status="exited", ExitCode=143)])
def test_what_runs_or_was_stopped_is_well(well: dict[str, Any]) -> None:
    assert ailment("kafka-2", well, NETWORK, ["started"]) is None


@pytest.mark.parametrize(
    ("attributes", "lines", "problem", "remedy"),
    [
        (
            attributes(7, Status="restarting"),
            ["starting", "java.io.IOException: No space left on device", "shutting down"],
            "restarted 7 times, the disk is full: java.io.IOException: No space left on device",
            "docker system df",
        ),
        (
            attributes(9, OOMKilled=True),
            ["started"],
            "was killed at its memory limit of 768 MiB; restarts: 9",
            "raise the limit of kafka-2",
        ),
        (attributes(3), ["no", "ERROR: no"], "restarted 3 times, last exit code 1: ERROR: no", "logs kafka-2"),
        (attributes(1, Status="restarting"), [], "restarted 1 times, last exit code 1", "logs kafka-2"),
        (attributes(Status="paused"), [], "is paused", "docker compose unpause kafka-2"),
        (attributes(alias="other"), [], f"has no name in the network {NETWORK}", "--force-recreate --no-deps kafka-2"),
        (attributes(Health=unhealthy("x\nnot listed\n", "")), [], "is unhealthy: not listed", "logs kafka-2"),
        (attributes(Health=unhealthy()), [], "is unhealthy: its health check says no more", "logs kafka-2"),
    ],
)
def test_what_is_wrong_is_named_with_what_helps(
    attributes: dict[str, Any], lines: list[str], problem: str, remedy: str
) -> None:
    verdict = ailment("kafka-2", attributes, NETWORK, lines)
    assert verdict is not None
    assert verdict.problem.startswith(problem)
    assert remedy in verdict.remedy


def test_a_container_without_any_network_has_no_name() -> None:
    lonely = attributes() | {"NetworkSettings": {"Networks": {}}}
    assert "has no name" in str(ailment("kafka-2", lonely, NETWORK, []))
