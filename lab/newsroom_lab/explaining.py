"""`newsroom explain`: the words of Kafka, and the experiments that show them."""

from __future__ import annotations

import difflib
import textwrap
from typing import TYPE_CHECKING

from rich.markup import escape

from newsroom.words import WORDS, find
from newsroom_lab.experiment import experiments
from newsroom_lab.view import WIDTH
from newsroom_stack.errors import StackError

if TYPE_CHECKING:
    from rich.console import Console


class UnknownWord(StackError):
    """Nobody explains this word."""


def shown_by(word: str) -> list[str]:
    """The names of the experiments that show what a word means."""
    return [experiment.name for experiment in experiments().values() if word in experiment.terms]


def explain(console: Console, name: str) -> None:
    """Explain a word.

    Raises:
        UnknownWord: it is not among those that are explained; the message lists similar ones.
    """
    word = find(name)
    if word is None:
        similar = difflib.get_close_matches(name.lower(), WORDS, n=3, cutoff=0.5)
        hint = f"; do you mean {', '.join(similar)}?" if similar else ""
        raise UnknownWord(f"'{name}' is not explained here{hint} ('newsroom explain' lists all words)")
    entry = WORDS[word]
    also = f" [dim]({escape(', '.join(entry.also))})[/]" if entry.also else ""
    console.print(f"[bold]{word}[/]{also}")
    for line in textwrap.wrap(entry.text, WIDTH):
        console.print(line, markup=False, highlight=False)
    if names := shown_by(word):
        console.print(f"see it: newsroom lab run {names[0]}", highlight=False)
        if names[1:]:
            console.print(f"  [dim]also: {', '.join(names[1:])}[/]", highlight=False)


def list_words(console: Console) -> None:
    """List every word with its first sentence."""
    width = max(map(len, WORDS))
    for word, entry in WORDS.items():
        console.print(f"[bold]{word:<{width}}[/]  {escape(entry.short)}", highlight=False)
