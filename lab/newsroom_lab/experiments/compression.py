"""What compression saves on the brokers' disks."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

from newsroom_lab.experiment import Choice, Experiment, Section

if TYPE_CHECKING:
    from newsroom_lab.lab import Lab


CODECS = ("none", "snappy", "lz4", "gzip", "zstd")
RECORDS = 500
SAVES = 5


def steps(lab: Lab, *, random: bool = False) -> None:
    """Send the same text with each codec, and ask the brokers how large it is on their disks."""
    text = "the quick brown fox jumps over the lazy dog " * 40
    lines = "".join(f"{secrets.token_hex(len(text) // 2) if random else text}\n" for _ in range(RECORDS))
    topics = {}
    for codec in CODECS:
        lab.step(f"Send {RECORDS} lines of {len(text)} characters with --compression {codec}")
        topics[codec] = lab.topic(codec)
        lab.run(
            "news-producer", "--format", "string", "--topic", topics[codec], "--source", "-", "--compression", codec,
            stdin=lines,
        )  # fmt: skip
    lab.step("Ask the brokers for the size of each topic")
    answer = lab.kafka("log-dirs", "--describe", "--topic-list", ",".join(topics.values()))
    broker, *_ = json.loads(answer.search(r'^\{"brokers.*')[0])["brokers"]
    stored = {
        replica["partition"].rpartition("-")[0]: replica["size"]
        for folder in broker["logDirs"]
        for replica in folder["partitions"]
    }
    sizes = {codec: stored[topic] for codec, topic in topics.items()}
    lab.bars("kilobytes on one broker", {codec: round(size / 1000, 1) for codec, size in sizes.items()}, "kB")
    factor = sizes["none"] / sizes["zstd"]
    lab.answer(round(factor), f"{sizes['none'] / 1000:,.0f} kB of text are {sizes['zstd'] / 1000:,.0f} kB with zstd")
    small = [codec for codec in CODECS[1:] if sizes[codec] * SAVES <= sizes["none"]]
    lab.holds(f"each codec saves more than {1 - 1 / SAVES:.0%}", small == list(CODECS[1:]), f"these do: {small}")


EXPERIMENT = Experiment(
    section=Section.PRODUCER,
    rows=(11,),
    question="The disks fill up. Which data does compression make much smaller?",
    predict=Choice(
        (
            "all data, by about the same part",
            "batches of similar records, such as text, logs and JSON",
            "single small records above all",
        ),
        right=1,
    ),
    steps=steps,
    why="""The producer compresses a whole batch, so what repeats within and between its records is stored once. The
    broker stores the batch as it came, and consumers unpack it: network and page cache gain, too. The price
    is CPU time at both ends. A batch of one tiny record gains nothing, and neither do data that are random or
    compressed already. zstd and lz4 are good choices; gzip costs most.""",
    wrong={"random data shrink as well": {"random": True}},
    terms=("batch",),
)
