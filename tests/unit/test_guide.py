"""The guide to the code in docs/architecture.md: each file is there, and has the names that stand behind it."""

import re

import pytest

from newsroom_stack.layout import REPOSITORY

ROOMS = [*REPOSITORY.glob("services/*"), *(REPOSITORY / room for room in ("shared", "stack", "audit", "."))]
INSIDE = [REPOSITORY / "stack/newsroom_stack", *REPOSITORY.glob("services/*/*_*")]
"""A row may shorten the path of a file in the room that it has named before."""

FILE = re.compile(r"[\w./-]+\.(py|js|yml)")
NAME = re.compile(r"[A-Z]?[a-z_]\w*|[A-Z_]{2,}|[A-Z][a-z]\w*\.\w+")
TEXT = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
GUIDE = dict(re.findall(r"^\| (.*?\?) \| (.*) \|$", TEXT, re.MULTILINE))


def test_the_guide_has_the_questions_of_a_stranger() -> None:
    assert len(GUIDE) > 20


@pytest.mark.parametrize("question", GUIDE)
def test_an_answer_names_what_is_there(question: str) -> None:
    source = ""
    for code in re.findall(r"`([^`]+)`", GUIDE[question]):
        if FILE.fullmatch(code):
            paths = [path for room in (*ROOMS, *INSIDE) if (path := room / code).is_file()]
            assert paths, f"{code} does not exist"
            source = paths[0].read_text(encoding="utf-8")
        elif source and NAME.fullmatch(code):
            missing = [part for part in code.split(".") if not re.search(rf"\b{part}\b", source)]
            assert not missing, f"the file that was named before {code} does not have {missing}"
