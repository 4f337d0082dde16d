"""What all tests share."""

from __future__ import annotations

import pytest

# Their assertions are the tests': a failure shows both sides.
pytest.register_assert_rewrite("e2e.network", "pipeline")
