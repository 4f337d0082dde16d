"""The names of the pipeline's topics as settings: `NEWSROOM_COUNTS_TOPIC` moves a topic for all services at once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LEGAL_NAME = r"^[A-Za-z0-9._-]+$"
"""What a topic's name may have. Group ids of the streams are parts of topics' names."""

LONGEST_NAME = 249


def _topic(description: str) -> object:
    return Field(pattern=LEGAL_NAME, max_length=LONGEST_NAME, description=description)


NONE = "none"
"""Instead of a topic's name: the word count does without this input. (An empty variable is not set.)"""

StringsTopic = Annotated[str, _topic(f"topic of texts (strings) whose words are counted; {NONE}: no such topic")]
NewsTopic = Annotated[
    str, _topic(f"topic of Avro records, of which one field is counted; {NONE}: no such topic, and no schema registry")
]
CountsTopic = Annotated[str, _topic("topic of the table: word to count")]
LabelsTopic = Annotated[str, _topic("topic of labels: word to label")]
JoinedTopic = Annotated[str, _topic("topic of the pairs: word to count and label")]
