"""The built-in source: endless headlines, whose word frequencies fall like those of real text."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

from news_producer.items import Item

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGIN = "generator"
TABLE_SLOTS = 8192
"""Entries of a word table: enough that even the rarest of a thousand names has one."""

NOUNS = (
    "council city market bridge school river court team train harbour budget report festival hospital museum "
    "strike storm garden election factory company library airport minister teacher engine village record "
    "forest tower winter crowd power station song border bank farm road ferry stadium union island prize "
    "telescope orchestra bakery lighthouse glacier archive satellite vineyard tram quarry choir reservoir "
    "observatory windmill chess puzzle comet lantern beehive canal ledger compass"
)
VERBS = (
    "opens plans finds wins closes delays asks builds loses reports welcomes warns saves counts buys sells "
    "repairs rejects approves studies paints moves joins leaves celebrates doubles halves maps tests restores "
    "forgets reopens audits borrows"
)
ADJECTIVES = (
    "new old local first big small late open early quiet long public northern southern green young record bright "
    "cold hidden rare modern broken golden wooden distant curious patient narrow silent electric coastal"
)
MEDIA = (
    "Morning Post",
    "Harbour Times",
    "Evening Ledger",
    "City Courier",
    "The Northern Star",
    "River Gazette",
    "Daily Compass",
    "The Lantern",
)
NAME_HEADS = "Nor Bren Al Kes Mar Tor Wil Has El Dun Fen Gar Har Is Jor Kil Lin Mos Ost Pel Ros Sel Tam Ul"
NAME_TAILS = "vale holt mere ford wick ham stead burn field port ley mouth dale worth gate moor cliff brook"

PATTERNS = (
    "A N V the N",
    "N of P V the A N",
    "the A N of P V a N",
    "P V A N in P",
    "the N V as A N V in P",
    "A N for P : N V the N",
    "N and N : P V to the N",
    "why the N of P V the N",
)
"""Shapes of a headline: N noun, V verb, A adjective, P place; all other words stay as they are."""


def zipf_table(words: list[str] | tuple[str, ...], slots: int = TABLE_SLOTS) -> list[str]:
    """Return a table that repeats each word in proportion to 1/rank, so that a uniform draw is a Zipf draw."""
    harmonic = sum(1 / rank for rank in range(1, len(words) + 1))
    return [word for rank, word in enumerate(words, start=1) for _ in range(max(1, round(slots / (rank * harmonic))))]


def headlines(seed: int | None = None) -> Iterator[Item]:
    """Yield articles without end. An id never repeats within a run; with a seed, every run yields the same articles."""
    rng = random.Random(seed)  # noqa: S311 - headlines, not secrets
    names = [head + tail for tail, head in itertools.product(NAME_TAILS.split(), NAME_HEADS.split())]
    slots = {
        "N": zipf_table(NOUNS.split()),
        "V": zipf_table(VERBS.split()),
        "A": zipf_table(ADJECTIVES.split()),
        "P": zipf_table(names),
    }
    patterns = [[slots.get(word, [word]) for word in pattern.split()] for pattern in PATTERNS]
    media = zipf_table(MEDIA, slots=256)
    run = f"{rng.getrandbits(32):08x}"
    draw = rng.random
    # int(random() * n) takes a third of the time of choice(), and this is the hot path.
    for number in itertools.count():
        pattern = patterns[int(draw() * len(patterns))]
        title = " ".join([words[int(draw() * len(words))] for words in pattern])
        fields = {"title": title[0].upper() + title[1:], "media": media[int(draw() * len(media))]}
        yield Item(f"{run}-{number:09d}", fields, ORIGIN)
