"""The lab on containers: the quick experiments, as a reader runs them."""

import pytest

from e2e.network import ContainerPipeline

pytestmark = pytest.mark.timeout(900)

LAB_SECONDS = 600


def test_the_quick_experiments_pass_on_containers(pipeline: ContainerPipeline) -> None:
    done = pipeline.newsroom("lab", "run", "--quick", "--no-wait", seconds=LAB_SECONDS)
    assert done.code == 0, done.output
    assert "passed, 0 failed" in done.output
    assert pipeline.stack.running()
