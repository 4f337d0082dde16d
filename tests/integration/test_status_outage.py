"""What the status API says of a consumer group while its coordinator is dead, and how soon it knows the group again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from support.pipeline import HTTP_OK, Pipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

GROUP = "avro-consumer"
KNOWN_SECONDS = 10.0
"""On a busy machine. On an idle one the group is known before the broker is ready, or within a second."""


@contextmanager
def answers(pipeline: Pipeline) -> Iterator[set[int]]:
    """The statuses with which the status API answers for the group, many times a second."""
    statuses: set[int] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.wait(0.05):
            statuses.add(pipeline.api(f"/api/v1/groups/{GROUP}").status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stop.set()
        thread.join()


def test_a_group_keeps_its_values_while_its_coordinator_is_dead_and_is_known_soon_after(pipeline: Pipeline) -> None:
    wait_for("a group with a lag", lambda: (pipeline.group(GROUP) or {}).get("lag") is not None)
    for _ in range(2):  # the client that forgot a broker learned of it again only at its second death
        coordinator = (pipeline.group(GROUP) or {})["coordinator"]
        broker = f"kafka-{coordinator}"
        with answers(pipeline) as statuses:
            pipeline.stack.kill(broker)
            group = wait_for("the outage is seen", partial(_not_coordinated_by, pipeline, coordinator))
            assert group["lag"] is not None, group
            assert (group["state"] == "Unknown") == (group["unknown_since"] is not None), group
            pipeline.stack.restart(broker)
            wait_for("the group is known again", lambda: _known(pipeline), KNOWN_SECONDS)
        assert statuses == {HTTP_OK}
        wait_for("everything is ready", pipeline.all_ready)


def _not_coordinated_by(pipeline: Pipeline, broker: int) -> dict[str, object] | None:
    group = pipeline.group(GROUP)
    return group if group and (group["state"] == "Unknown" or group["coordinator"] != broker) else None


def _known(pipeline: Pipeline) -> bool:
    group = pipeline.group(GROUP)
    return group is not None and group["state"] != "Unknown" and group["lag"] is not None
