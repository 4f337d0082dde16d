"""Wrong for the Avro producer: it registers the schema and sends JSON."""

import json
import os
import urllib.request
from pathlib import Path

from kit import producer

schema = json.dumps({"schema": Path(os.environ["LAB_SCHEMA"]).read_text(encoding="utf-8")}).encode()
url = f"{os.environ['LAB_REGISTRY']}/subjects/{os.environ['LAB_OUTPUT']}-value/versions"
urllib.request.urlopen(urllib.request.Request(url, schema, {"Content-Type": "application/json"}), timeout=30)  # noqa: S310
sender = producer()
for line in Path(os.environ["LAB_SOURCE"]).read_text(encoding="utf-8").splitlines():
    sender.produce(os.environ["LAB_OUTPUT"], line)
sender.flush()
