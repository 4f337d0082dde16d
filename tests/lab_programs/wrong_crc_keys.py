"""Wrong for the keyed producer: librdkafka's own partitioner puts most keys elsewhere than Java's clients."""

import json
import os
from pathlib import Path

from kit import producer

sender = producer(partitioner="consistent_random")
for line in Path(os.environ["LAB_SOURCE"]).read_text(encoding="utf-8").splitlines():
    fields = json.loads(line)
    sender.produce(os.environ["LAB_OUTPUT"], fields["value"], fields["key"])
sender.flush()
