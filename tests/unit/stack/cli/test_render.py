"""Tables in a pipe."""

import pytest

from newsroom_stack.cli.render import console, print_rows


def test_a_table_in_a_pipe_is_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    console.cache_clear()
    print_rows(("NAME", "LAG"), [("a[b]", 5), ("longer", None), ("c", 12345)], right=("LAG",))
    assert capsys.readouterr().out == "NAME      LAG\na[b]        5\nlonger      -\nc       12345\n"
