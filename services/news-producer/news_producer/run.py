"""One run of the producer: what it sends, which errors end it, and the account that is its last line. No Kafka here."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from news_producer.errors import FeedUnavailable
from news_producer.polling import FeedSource
from news_producer.pump import Entries, Pace, interleave, pump
from news_producer.settings import LAB
from newsroom.errors import NewsroomError
from newsroom.lifecycle import log_error
from newsroom.logs import get_logger
from newsroom.waiting import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from news_producer.items import Encoded, Item, Skip
    from news_producer.ledger import Ledger
    from news_producer.sender import Sender
    from news_producer.settings import ProducerSettings
    from newsroom.waiting import StopFlag

log = get_logger(__name__)


@dataclass(frozen=True)
class Run:
    """Everything that a run needs, open and ready."""

    settings: ProducerSettings
    sources: Sequence[Iterable[Item | Skip | None]]
    encode: Callable[[Item], Encoded]
    sender: Sender

    def send_all(self, stop: StopFlag) -> int:
        """Send every item and log the account; return the exit code, which is 1 if a record or a feed failed."""
        settings, code = self.settings, 0
        try:
            with closing(self.sender):
                self.sender.wait_for_topic()
                pump(
                    interleave(self.sources),
                    self.encode,
                    self.sender,
                    Entries(self.sender.ledger, skip_bad_lines=settings.skip_bad_lines),
                    stop=stop,
                    pace=Pace(settings.rate),
                    limit=settings.count,
                    flush_each=settings.flush == "each",
                    announce=_announce if settings.sources == (LAB,) else None,
                )
            self.sender.check()
            self._check_feeds()
        except NewsroomError as error:
            # Log the error here and not in run_service, because the run's account must be the last line.
            log_error(error)
            code = error.exit_code
        except Stopped:
            log.info("the producer stopped before it sent a record")
        log_account(self.sender.ledger)
        return code

    def _check_feeds(self) -> None:
        feeds = [source for source in self.sources if isinstance(source, FeedSource)]
        problems = [feed.problem for feed in feeds if feed.problem]
        if self.settings.once and problems:
            raise FeedUnavailable("; ".join(problems))


def log_account(ledger: Ledger) -> None:
    """Log how many entries were read, new and skipped, and how many records were sent, delivered and failed."""
    log.info("finished", **ledger.account())


def _announce(item: Item) -> None:
    sentence = f'Sending message with key "{item.key}" and value "{item.fields["value"]}"'
    log.info(sentence)
