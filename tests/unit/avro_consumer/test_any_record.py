"""Records of any bytes, from a cluster to the sink or the dead letters: nothing stops, nothing is lost."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_consumer.dead_letters import DeadLetters
from avro_consumer.delivery import AtLeastOnce
from avro_consumer.effect import Effect
from avro_consumer.loop import Loop
from avro_consumer.member import MEMBERSHIP, Member
from avro_consumer.records import AvroFormat, Format, StringFormat
from avro_consumer.settings import AvroConsumerSettings
from avro_consumer.sink import JsonLinesSink
from newsroom.health import Health
from newsroom.schemas.avro import AvroDecoder
from newsroom.schemas.registry import register
from newsroom.waiting import Deadline, StopFlag
from support.cluster import MockCluster
from support.schemas import NEWS_SCHEMA, memory_registry

REGISTRY = memory_registry()
FRAME = b"\0" + register(REGISTRY, "news-value", NEWS_SCHEMA).to_bytes(4, "big")
"""The beginning of a value with a schema that the registry has."""

NAMES = st.binary(max_size=6).map(lambda name: name.replace(b"\0", b""))
# Ids that the registry does not have are another test's: unless they are a minority, the registry is to blame.
VALUES = (
    st.none()
    | st.binary(max_size=40).filter(lambda value: value[:1] != b"\0")
    | st.binary(max_size=20).map(lambda rest: FRAME + rest)
)
RECORDS = st.tuples(
    st.none() | st.binary(max_size=8), VALUES, st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=8)), max_size=3)
)


@pytest.fixture(scope="module")
def brokers() -> Iterator[MockCluster]:
    with closing(MockCluster()) as mock:
        yield mock


def consume(brokers: MockCluster, topic: str, form: Format, folder: Path, count: int) -> int:
    """Read the records; return the number of lines in the sink."""
    config = AvroConsumerSettings(bootstrap_servers=brokers.address, topic=topic, count=count, group=f"g-{topic}")
    health, stop = Health(MEMBERSHIP), StopFlag()
    poison = DeadLetters(
        config.producer_config("dlq", linger_ms=0), f"{topic}.dlq", config.group_id, 10, stop=stop, tick=health.tick
    )
    sink_file = folder / "s.jsonl"
    with JsonLinesSink(sink_file) as sink, Member(config.member_config(None), topic, health) as member:
        member.subscribe()
        Loop(
            config,
            start=Deadline(30),
            source=member,
            form=form,
            delivery=AtLeastOnce(member, Effect(form, poison, sink)),
            health=health,
            stop=stop,
        ).run()
    return len(sink_file.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("avro", [True, False])
@given(records=st.lists(RECORDS, min_size=1, max_size=30))
@settings(max_examples=6)
def test_every_record_is_read_or_a_dead_letter(
    brokers: MockCluster,
    avro: bool,
    records: list[tuple[bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]],
) -> None:
    topic = brokers.topic()
    for key, value, headers in records:
        brokers.send_raw(topic, key, value, headers)
    form = AvroFormat(AvroDecoder(REGISTRY)) if avro else StringFormat()
    with TemporaryDirectory() as folder:
        lines = consume(brokers, topic, form, Path(folder), len(records))
    letters = brokers.read(f"{topic}.dlq")
    assert lines + len(letters) == len(records)
    assert brokers.committed(f"g-{topic}", topic) == len(records)
