import pytest

from status_api.wordtable import LAST_JOINED, MAX_TEXT, JoinedLog, WordTable, joined_text, parse_count, view


def filled(*records: tuple[int, int, bytes | None, bytes | None], max_words: int = 100) -> WordTable:
    table = WordTable(max_words)
    for record in records:
        table.apply(*record)
    return table


def test_the_newest_count_of_a_word_wins() -> None:
    table = filled((0, 0, b"a", b"1"), (0, 1, b"b", b"5"), (0, 2, b"a", b"7"))
    assert (table.top(), table.distinct, table.total) == ((("a", 7), ("b", 5)), 2, 12)


def test_a_tombstone_deletes_the_word() -> None:
    table = filled((0, 0, b"a", b"1"), (0, 1, b"b", b"5"), (0, 2, b"b", None), (0, 3, b"c", None))
    assert (table.top(), table.distinct, table.total) == ((("a", 1),), 1, 1)


def test_top_words_are_sorted_by_count_then_name_and_bounded() -> None:
    table = filled(
        *((0, i, f"w{i:02}".encode(), b"3") for i in range(99)),
        *((1, i, f"x{i:02}".encode(), b"2") for i in range(99)),
        (0, 99, b"z", b"9"),
        max_words=500,
    )
    assert table.top()[:3] == (("z", 9), ("w00", 3), ("w01", 3))
    assert len(table.top()) == 150


def test_an_offset_that_goes_back_starts_the_partition_again() -> None:
    table = filled((0, 0, b"a", b"4"), (0, 1, b"b", b"4"), (1, 0, b"c", b"2"), (0, 0, b"d", b"1"))
    assert (dict(table.top()), table.total) == ({"c": 2, "d": 1}, 3)


def test_more_words_than_allowed_are_left_out_and_reported() -> None:
    table = filled((0, 0, b"a", b"1"), (0, 1, b"b", b"1"), (0, 2, b"c", b"1"), (0, 3, b"a", b"5"), max_words=2)
    assert (table.distinct, table.total, table.complete) == (2, 6, False)


def test_null_keys_and_broken_counts_do_no_harm() -> None:
    table = filled((0, 0, None, b"1"), (0, 1, b"a", b"not a number"), (0, 2, b"\xff", b"2"))
    assert table.top() == (("\ufffd", 2),)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (b"6", 6),
        (b'{"count": 6}', 6),
        (b"true", None),
        (b"1.5", None),
        (b"\xff", None),
        (b"", None),
        (b"9223372036854775807", 2**63 - 1),
        (b"1" * 4000, None),
        (b"[" * 100_000, None),
    ],
)
def test_counts(value: bytes, count: int | None) -> None:
    assert parse_count(value) == count


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'{"count": 6, "label": "active"}', "(6, active)"),
        (b'[6, "active"]', "(6, active)"),
        (b"(6, active)", "(6, active)"),
        (None, ""),
        (b"[" * 100_000, "[" * MAX_TEXT),
        (rb'{"count": 6, "label": "\ud800"}', "(6, ?)"),
    ],
)
def test_joined_values_take_the_labs_form(value: bytes | None, text: str) -> None:
    assert joined_text(value) == text


def test_the_joined_log_counts_all_and_keeps_the_newest() -> None:
    log = JoinedLog()
    for offset in range(LAST_JOINED + 10):
        log.apply(0, offset, f"w{offset}".encode(), b"x", 1000 + offset)
    tables = view(WordTable(1), log)
    assert (tables.joined_total, len(tables.joined), tables.joined[0].word) == (60, LAST_JOINED, "w59")


def test_a_recreated_joined_topic_starts_again() -> None:
    log = JoinedLog()
    log.apply(0, 5, b"old", b"x", 1)
    log.apply(0, 0, b"new", b"x", 2)
    assert (log.total, [joined.word for joined in log.newest_first()]) == (1, ["new"])
