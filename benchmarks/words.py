r"""Measures what a word of every script costs: `words_of` against the lab's plain `\w+`, text by text.

Run it with `.venv/bin/python benchmarks/words.py`. Each ratio is the median of pairs that were measured side by side,
with the lowest and the highest: the machine may do something else meanwhile.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from typing import TYPE_CHECKING

from newsroom_audit.words import words_of as words_of_the_judge
from wordcount_stream.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = {
    "ASCII": "Bridge opens again, after storms; minister says the work was cheap and done in time",
    "typographic quotes": "Bridge opens again \u2013 after “storms”; minister says the work was “done” in time",
    "Czech": "Most se znovu otevřel \u2013 ministr říká, že práce byla levná a včas hotová, řeka klesá",
    "Cyrillic": "\u043c\u043e\u0441\u0442 \u0441\u043d\u043e\u0432\u0430 \u043e\u0442\u043a\u0440\u044b\u0442: " * 5,
    "decomposed": "Cafe\u0301 re\u0301ouvert apre\u0300s les tempe\u0302tes, le ministre est rassure\u0301",
    "Hindi": "प्रधानमंत्री ने कहा कि सरकार किसानों के साथ है, और पुल फिर से खुल गया",
    "emoji": "Bridge opens again 🎉 after storms; minister says the work was cheap 👍 and done in time",
}
UNCHANGED = {"ASCII", "typographic quotes", "Czech", "emoji"}
"""Texts whose words are those of the plain rule."""

PAIRS = 15
CALLS = 2000

_plain = re.compile(r"\w+").findall


def plain_words_of(text: str) -> list[str] | None:
    """The words as they were counted before: without regard to marks and compositions."""
    if "filter" in text:
        return None
    words: list[str] = _plain(text.lower())
    return words


def seconds(call: Callable[[str], object], text: str) -> float:
    """The time of `CALLS` calls."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call(text)
    return time.perf_counter() - start


def main() -> None:
    """Verify the words of each text, and print the ratios."""
    for name, text in TEXTS.items():
        words = words_of(text) or []
        if tuple(words) != words_of_the_judge(text) or (name in UNCHANGED and words != plain_words_of(text)):
            sys.exit(f"{name}: the words are wrong: {words}")
        pairs = [(seconds(words_of, text), seconds(plain_words_of, text)) for _ in range(PAIRS)]
        ratios = sorted(ours / plain for ours, plain in pairs)
        micros = statistics.median(ours for ours, _ in pairs) / CALLS * 1e6
        sys.stdout.write(
            f"{name:20} {micros:6.2f} us a text, {statistics.median(ratios):5.2f} times the plain rule "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})\n"
        )


if __name__ == "__main__":
    main()
