"""The audit of a running pipeline: clean after a load, not clean when a ledger tells of a record that is not there."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from newsroom.settings import KafkaSettings
from newsroom_audit.cli import sample_until
from newsroom_audit.findings import Kind
from newsroom_audit.ledger import read_ledger
from newsroom_audit.load import Load, common_words, labels, unique_words
from newsroom_audit.reader import ClusterReader
from support.pipeline import ProcessPipeline
from support.waiting import wait_for

pytestmark = pytest.mark.timeout(240)

WORDS = 3000


@contextmanager
def watched(settings: KafkaSettings, samples: Path) -> Iterator[None]:
    """Sample the cluster beside what the block does."""
    stop = threading.Event()
    with ClusterReader(settings) as reader:
        thread = threading.Thread(target=sample_until, args=(stop, reader, samples, 0.5))
        thread.start()
        yield
        stop.set()
        thread.join()


def test_a_load_is_judged_clean_and_an_acknowledged_record_that_is_not_there_is_found(
    pipeline: ProcessPipeline, tmp_path: Path
) -> None:
    settings = KafkaSettings(bootstrap_servers=pipeline.ports.bootstrap, registry_url=pipeline.ports.registry_url)
    ledgers = [tmp_path / "words.jsonl", tmp_path / "labels.jsonl"]
    samples = tmp_path / "samples.jsonl"
    pipeline.quiet()
    with watched(settings, samples):
        with Load(settings, ledgers[0], seed=7) as load:
            load.send(unique_words(load.run, WORDS), rate=1000)
            load.send(common_words(load.run, 500, vocabulary=50, words=5, seed=7))
        pipeline.quiet()
        counts = pipeline.observer.counts()
        known = {word: count for word, count in counts.items() if word.startswith(f"w{load.run}x1")}
        with Load(settings, ledgers[1]) as load:
            load.send(labels(load.run, known))
        ends = pipeline.observer.end_offsets("word")
        wait_for("the join past word", partial(pipeline.observer.passed, "join-service", "word", ends))
    options = [option for path in ledgers for option in ("--ledger", str(path))]
    options += ["--samples", str(samples), "--sink", str(pipeline.layout.consumed), "--json"]

    done = pipeline.command("newsroom-audit", "judge", *options, seconds=120)
    assert done.code == 0, done.output
    report = json.loads(done.output)
    assert report["produced"] == report["verified"] == WORDS + 500 + len(known)
    assert set(report["wrong"].values()) == {0}
    assert all(report["read"][topic] > 0 for topic in ("mytopic", "news", "word-counts", "words-joined", "sink lines"))
    assert len(report["checks"]) > 15
    assert {gaps["stage"] for gaps in report["gaps"]} > {"acknowledgements", "word-counts", "words-joined"}
    assert all(gaps["max"] < 30 for gaps in report["gaps"])

    forged = read_ledger(ledgers[0]).run
    sent = {"id": f"{forged}-999999", "number": 999999, "topic": "mytopic", "key": "k", "value": "nowhere", "sent": 1.0}
    outcome = {"id": sent["id"], "outcome": "acknowledged", "settled": 2.0, "partition": 0, "offset": 0}
    with ledgers[0].open("a") as ledger:
        ledger.writelines(json.dumps(line) + "\n" for line in (sent, outcome))
    done = pipeline.command("newsroom-audit", "judge", "--ledger", str(ledgers[0]), seconds=120)
    assert done.code == 1, done.output
    assert f"{Kind.LOST.value}: mytopic partition 0 offset 0: record {sent['id']} was acknowledged" in done.output
    assert f"records {WORDS + 501:,} produced, {WORDS + 500:,} verified · lost 1 · duplicated 0" in done.last_line
