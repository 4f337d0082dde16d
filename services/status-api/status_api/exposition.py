"""Writes samples as text: prometheus_client checks the names of each sample, which takes most of a scrape's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Encode = Callable[[Collector], bytes]
    """prometheus_client's encoder of a format."""
    Row = tuple[list[str], float | None]


class Rows(Metric):
    """A gauge whose samples are made while they are written: as objects, those of 2,000 groups take 30 MB.

    `rows` returns the values of the labels and of the gauge; None has no sample.
    """

    def __init__(self, name: str, text: str, labels: list[str], rows: Callable[[], Iterator[Row]]) -> None:
        super().__init__(name, text, "gauge")
        self.labels = labels
        self.rows = rows


class _One(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    @override
    def collect(self) -> Iterable[Metric]:
        return [self._family]


def exposition(families: Iterable[Metric], encode: Encode) -> Iterator[bytes]:
    """Yield the text of metrics whose samples have finite values, and names that need no escapes, without its end.

    `encode` writes the lines that describe a metric, which differ from format to format. Those of samples do not.
    """
    escapes = _Escapes()
    for family in families:
        samples, family.samples = family.samples, []
        yield encode(_One(family)).removesuffix(b"# EOF\n")  # more follows
        lines = list(_written(family, escapes)) if isinstance(family, Rows) else []
        for sample in samples:
            labels = ",".join([f'{name}="{escapes[value]}"' for name, value in sample.labels.items()])
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            lines.append(f"{name} {float(sample.value)!r}\n")
        yield "".join(lines).encode()


def _written(family: Rows, escapes: _Escapes) -> Iterator[str]:
    names = ",".join(f'{label}="%s"' for label in family.labels)
    line = f"{family.name}{{{names}}} %r\n"
    for values, value in family.rows():
        if value is not None:
            yield line % (*[escapes[label] for label in values], float(value))


class _Escapes(dict[str, str]):
    """The values of labels as they are written. Each occurs many times."""

    def __missing__(self, value: str) -> str:
        text = self[value] = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        return text
