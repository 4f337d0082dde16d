"""Whether the stack as a whole works: what `newsroom lab check` looks at while no fault is set."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from newsroom.topics import MYTOPIC, WORD_COUNTS
from newsroom_lab.repair.fault import Seen
from newsroom_stack.layout import SINK_FILE

if TYPE_CHECKING:
    from newsroom_lab.repair.site import Site

SECONDS = 60.0


def look(site: Site) -> Seen:
    """Send a word, and look for it in the word counts and in the file of the stack's connector."""
    word = f"repair{secrets.token_hex(4)}"
    before = site.observer.end_offsets(WORD_COUNTS.name)
    sent = site.send(MYTOPIC.name, [(word, word)], message_timeout_ms=10_000).acknowledged == 1

    def counted() -> bool:
        return any(record.key == word.encode() for record in site.observer.read(WORD_COUNTS.name, before))

    done = {
        f"acknowledged by {MYTOPIC.name}": sent,
        f"counted in {WORD_COUNTS.name}": sent and site.sees("it is counted", counted, SECONDS),
        f"written to {SINK_FILE}": sent and site.sees("it is written", lambda: site.file_has(SINK_FILE, word), SECONDS),
    }
    stages = "; ".join(f"{stage}: {'yes' if passed else 'NO'}" for stage, passed in done.items())
    return Seen(all(done.values()), f"the word '{word}' is {stages}")
