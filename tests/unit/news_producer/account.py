"""The way of a source's entries through the producer's core, to a list instead of a cluster."""

from collections.abc import Callable, Iterable

from news_producer.items import AvroRecords, Encoded, Item, Skip, StringRecords, key_policy
from news_producer.ledger import Ledger
from news_producer.pump import Entries, Pace, pump
from newsroom.schemas.avro import AvroEncoder
from newsroom.waiting import StopFlag
from support.schemas import NEWS_SCHEMA


class ListOutput:
    """An output that keeps what it gets, and counts it as the sender does."""

    def __init__(self, ledger: Ledger, stop: StopFlag | None = None) -> None:
        self.records: list[Encoded] = []
        self.flushes = 0
        self.idle = 0
        self._ledger = ledger
        self._stop = stop

    def send(self, key: bytes | None, value: bytes | None) -> bool:
        self.records.append((key, value))
        self._ledger.sent += 1
        return True

    def serve(self, seconds: float) -> None:
        assert seconds > 0
        self.idle += 1
        if self._stop is not None:
            self._stop.set()

    def flush(self) -> None:
        self.flushes += 1

    def check(self) -> None:
        pass


def encoder(kind: str) -> Callable[[Item], Encoded]:
    """The function that makes records of News, or strings."""
    key = key_policy("own", "")
    return (
        AvroRecords(NEWS_SCHEMA, AvroEncoder(NEWS_SCHEMA, 1), key).encode
        if kind == "avro"
        else StringRecords(key).encode
    )


def account_of(entries: Iterable[Item | Skip | None], kind: str, *, skip: bool = True) -> tuple[list[Encoded], Ledger]:
    """What the pump sends of these entries, and its account."""
    ledger = Ledger("t")
    output = ListOutput(ledger)
    pump(
        iter(entries),
        encoder(kind),
        output,
        Entries(ledger, skip_bad_lines=skip),
        stop=StopFlag(),
        pace=Pace(0),
    )
    assert ledger.read == len(output.records) + ledger.skipped.total()
    return output.records, ledger
