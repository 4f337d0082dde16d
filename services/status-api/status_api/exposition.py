"""Writes samples as text: prometheus_client checks the names of each sample, which takes most of a scrape's time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.metrics_core import Metric

    Encode = Callable[[Collector], bytes]
    """prometheus_client's encoder of a format."""


class _One(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    @override
    def collect(self) -> Iterable[Metric]:
        return [self._family]


def exposition(families: Iterable[Metric], encode: Encode) -> bytes:
    """Return the text of metrics whose samples have finite values, and names that need no escapes, without its end.

    `encode` writes the lines that describe a metric, which differ from format to format. Those of samples do not.
    """
    escapes = _Escapes()
    parts = []
    for family in families:
        samples, family.samples = family.samples, []
        parts.append(encode(_One(family)).removesuffix(b"# EOF\n"))  # more follows
        lines = []
        for sample in samples:
            labels = ",".join([f'{name}="{escapes[value]}"' for name, value in sample.labels.items()])
            name = f"{sample.name}{{{labels}}}" if labels else sample.name
            lines.append(f"{name} {float(sample.value)!r}\n")
        parts.append("".join(lines).encode())
    return b"".join(parts)


class _Escapes(dict[str, str]):
    """The values of labels as they are written. Each occurs many times."""

    def __missing__(self, value: str) -> str:
        text = self[value] = value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
        return text
