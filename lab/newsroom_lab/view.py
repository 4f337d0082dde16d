"""Shows an experiment on the terminal, step by step; in a pipe as plain lines."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as Grid

from newsroom_lab.experiment import Choice
from newsroom_lab.record import Bars, Claim, Lanes, Said, Shown, Step, Table, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from newsroom_lab.experiment import Experiment
    from newsroom_lab.record import Event, Outcome

WIDTH = 110
BAR_WIDTH = 40
LANE_WIDTH = 60
BLOCKS = " ▏▎▍▌▋▊▉█"
NOBODY = "░"
LANE_COLOURS = ("#4c8dd6", "#e0913a", "#2f9e8f", "#9b6dd6", "#c94f7c", "#8a8f3c")
"""Of owners in a picture; readers who do not see red and green alike tell them apart."""

VERDICT_COLOUR = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.BROKEN: "yellow"}


def number(value: float) -> str:
    """A number as a reader wants it: `12,345`, `6.13`."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def bar(value: float, largest: float, width: int = BAR_WIDTH) -> str:
    """A bar whose length says how large a value is, to an eighth of a character."""
    eighths = round(8 * width * value / largest) if largest else 0
    return BLOCKS[-1] * (eighths // 8) + (BLOCKS[eighths % 8] if eighths % 8 else "")


def bar_lines(bars: Bars) -> list[str]:
    """The lines of a picture with bars."""
    names = max(map(len, bars.values), default=0)
    largest = max(bars.values.values(), default=0)
    return [
        f"{name:>{names}} {bar(value, largest):<{BAR_WIDTH}} {number(value)} {bars.unit}".rstrip()
        for name, value in bars.values.items()
    ]


def lane_lines(lanes: Lanes) -> list[str]:
    """The lines of a picture with lanes: a letter for each owner, shaded where nobody owned the partition."""
    letters = {owner: chr(ord("A") + place) for place, owner in enumerate(lanes.owners())}
    names = max(map(len, lanes.lanes), default=0)
    lines = []
    for name, spans in lanes.lanes.items():
        cells = [NOBODY] * LANE_WIDTH
        for start, end, owner in spans:
            first, last = (round(moment / lanes.seconds * LANE_WIDTH) for moment in (start, end))
            cells[first:last] = letters[owner] * (last - first)
        lines.append(f"{name:>{names}} {''.join(cells[:LANE_WIDTH])}")
    lines.append(f"{'':>{names}} 0 s{f'{lanes.seconds:.1f} s':>{LANE_WIDTH - 3}}")
    legend = ", ".join(f"{letter} = {owner}" for owner, letter in letters.items())
    return [*lines, f"{'':>{names}} {legend}, {NOBODY} = nobody"]


class View:
    """Shows what happens. With `wait`, each step waits for Enter."""

    def __init__(self, console: Console, *, wait: bool = False) -> None:
        self._console = console
        self._wait = wait

    def show(self, event: Event) -> None:
        """Show an event of a run."""
        match event:
            case Step():
                self._step(event.text)
            case Shown():
                self._console.print(f"  [cyan]$ {escape(event.command)}[/]")
            case Said():
                for line in event.lines:
                    self._console.print(f"    [dim]{escape(line)}[/]")
            case Bars():
                self._lines(event.title, bar_lines(event))
            case Lanes():
                self._lines(event.title, lane_lines(event))
            case Table():
                self._table(event)
            case Claim():
                self._claim(event)

    def _step(self, text: str) -> None:
        if self._wait:
            self._console.input("  [dim]Enter goes on[/] ")
        self._console.print(f"[bold]▸ {escape(text)}[/]")

    def _lines(self, title: str, lines: list[str]) -> None:
        self._console.print(f"    {escape(title)}")
        for line in lines:
            self._console.print(f"    [green]{escape(line)}[/]")

    def _table(self, table: Table) -> None:
        grid = Grid(title=escape(table.title), title_justify="left", box=None, pad_edge=False)
        for column in table.columns:
            grid.add_column(escape(column), justify="left" if column is table.columns[0] else "right")
        for row in table.rows:
            grid.add_row(*map(escape, row))
        with self._console.capture() as capture:
            self._console.print(grid)
        for line in capture.get().rstrip().splitlines():
            self._console.out(f"    {line.rstrip()}", highlight=False)

    def _claim(self, claim: Claim) -> None:
        mark = "[green]✓[/]" if claim.held else "[red]✗[/]"
        evidence = f" [dim]({escape(claim.evidence)})[/]" if claim.evidence else ""
        self._console.print(f"  {mark} {escape(claim.text)}{evidence}")

    def question(self, experiment: Experiment) -> None:
        """Show what the experiment asks."""
        rows = f", row{'s' * (len(experiment.rows) > 1)} {', '.join(map(str, experiment.rows))}"
        where = f"{experiment.section}{rows if experiment.rows else ''}"
        self._console.print(f"\n[bold]{experiment.name}[/] [dim]{escape(where)}[/]")
        self._console.print(escape(experiment.question))
        if isinstance(experiment.predict, Choice):
            for place, option in enumerate(experiment.predict.options, 1):
                self._console.print(f"  {place}. {escape(option)}")

    def end(self, experiment: Experiment, outcome: Outcome) -> None:
        """Show how a run ended, and why."""
        colour = VERDICT_COLOUR[outcome.verdict]
        if outcome.trouble:
            self._console.print(f"  [yellow]it could not be run to its end:[/] {escape(outcome.trouble)}")
        if outcome.sentence:
            self._console.print(f"  {escape(outcome.sentence)}")
        if isinstance(experiment.predict, Choice):
            self._console.print(f"  right: {escape(experiment.predict.options[experiment.predict.right])}")
        for line in textwrap.wrap(" ".join(experiment.why.split()), WIDTH):
            self._console.print(f"  [dim]{escape(line)}[/]")
        tried = f" with the wrong answer '{outcome.wrong}'" if outcome.wrong else ""
        self._console.print(f"[{colour}]{outcome.verdict}[/] {experiment.name}{tried} in {outcome.seconds:.1f} s")

    @contextmanager
    def living(self, text: str) -> Iterator[None]:
        """On a terminal, show what is waited for while the block runs."""
        if not self._console.is_terminal or self._wait:
            yield
            return
        with self._console.status(text):
            yield
