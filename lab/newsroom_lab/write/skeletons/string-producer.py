"""TODO markers show the gaps. TASK.txt says what the program must do."""

import os
import sys

from confluent_kafka import Producer

producer = Producer(
    {
        "bootstrap.servers": os.environ["LAB_BOOTSTRAP"],
        # TODO: which setting keeps a retry from writing twice?
    }
)
failures = []


def delivered(error, message):
    """The client calls this once for each record, from poll() and flush()."""
    # TODO: note the error if there is one; otherwise write the line that the task asks for.


for number in range(21):
    # TODO: produce value$i and filter$i with the key key$i, and on_delivery=delivered.
    pass

# TODO: wait until every record is delivered.
sys.exit(1 if failures else 0)
