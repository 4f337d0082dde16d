"""What all tests share."""

import signal

import pytest

# Their assertions are the tests': a failure shows both sides.
pytest.register_assert_rewrite("e2e.network", "support")

# A script that runs the tests in the background lets SIGINT be ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
