"""Opens the sources that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from news_producer.headlines import headlines
from news_producer.inputs import read_file
from news_producer.items import lab_items
from news_producer.polling import FeedSource
from news_producer.settings import FEED_SCHEMES, GENERATOR, LAB

if TYPE_CHECKING:
    from collections.abc import Iterable

    from news_producer.items import Item, Skip
    from news_producer.lines import Wanted
    from news_producer.settings import ProducerSettings
    from newsroom.waiting import StopFlag


def open_source(
    source: str, settings: ProducerSettings, stop: StopFlag, wanted: Wanted
) -> Iterable[Item | Skip | None]:
    """Return the items of a source. A file is opened at once, and a feed's thread starts with the first item.

    Raises:
        SettingsError: the file cannot be read.
    """
    if source == LAB and settings.format == "string" and not settings.source:
        return lab_items(settings.rounds)
    if source == GENERATOR:
        return headlines(settings.seed)
    if source.lower().startswith(FEED_SCHEMES):
        return FeedSource(source, interval=settings.poll_interval, once=settings.once, stop=stop)
    return read_file(source, settings.input_format, settings.format, wanted)
