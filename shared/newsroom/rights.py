"""Compares the rights on topics that a client needs with those that its user has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicCollection

from newsroom.answers import ASK_SECONDS, answer
from newsroom.errors import NotYet
from newsroom.kafka_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka.admin import AdminClient

    from newsroom.access import Access, Right


def rights_on(access: Access, name: str) -> list[Right]:
    """The rights on a topic that the client needs."""
    return [right for right in access.rights if (right.kind, right.name) == ("topic", name)]


def check_rights(admin: AdminClient, access: Access, names: Sequence[str]) -> None:
    """Compare what the client needs with what the broker says that its user may do on each topic.

    Without this a denied write would show at the first result, which may be hours away.

    Raises:
        LastingFailure: a right is missing.
        NotYet: the broker did not answer.
    """
    answers = admin.describe_topics(
        TopicCollection(list(dict.fromkeys(names))), include_authorized_operations=True, request_timeout=ASK_SECONDS
    )
    lacking: list[Right] = []
    for name, future in sorted(answers.items()):
        try:
            allowed = {operation.name for operation in answer(future).authorized_operations or ()}
        except (KafkaException, TimeoutError) as error:
            if isinstance(error, KafkaException):
                access.raise_lasting(error, *rights_on(access, name))
            raise NotYet(f"topic {name} could not be looked up ({reason_of(error)})") from error
        if allowed:  # a broker that does not tell lists nothing
            lacking += [right for right in rights_on(access, name) if right.operation not in allowed]
    if lacking:
        raise access.denied(lacking)
