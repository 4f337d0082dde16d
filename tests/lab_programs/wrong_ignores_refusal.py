"""Wrong for the evolution: it does not look at the registry's answer, and sends with the id of the last version."""

import json
import os
import subprocess
import urllib.request

subject = f"{os.environ['LAB_REGISTRY']}/subjects/{os.environ['LAB_OUTPUT']}-value"
command = ["news-producer", "--topic", os.environ["LAB_OUTPUT"], "--source", os.environ["LAB_SOURCE"]]
command += ["--schema-path", os.environ["LAB_SCHEMA"]]
if subprocess.run(command, check=False).returncode:
    config = urllib.request.Request(  # noqa: S310
        subject.replace("/subjects/", "/config/"),
        json.dumps({"compatibility": "NONE"}).encode(),
        {"Content-Type": "application/json"},
        method="PUT",
    )
    urllib.request.urlopen(config, timeout=30)  # noqa: S310
    subprocess.run(command, check=True)
