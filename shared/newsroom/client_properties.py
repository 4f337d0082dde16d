"""Properties of librdkafka that a user passes on to every client, and those that would break a promise."""

from __future__ import annotations

import re

NEXT = re.compile(r"[,\n]\s*(?=[a-z][a-z0-9._]*\s*=)")
"""What separates two properties: a comma or a new line before `name=`. A value may contain commas."""

SETTINGS = {
    **dict.fromkeys(("bootstrap.servers", "metadata.broker.list"), "--bootstrap-servers"),
    "security.protocol": "--security-protocol",
    **dict.fromkeys(("sasl.mechanism", "sasl.mechanisms"), "--sasl-mechanism"),
    "sasl.username": "--sasl-username",
    "sasl.password": "--sasl-password",
    "ssl.ca.location": "--ssl-ca-location",
    "ssl.certificate.location": "--ssl-certificate-location",
    "ssl.key.location": "--ssl-key-location",
    "ssl.key.password": "--ssl-key-password",
    "sasl.oauthbearer.method": "--sasl-oauthbearer-token-endpoint-url",
    "sasl.oauthbearer.token.endpoint.url": "--sasl-oauthbearer-token-endpoint-url",
    "sasl.oauthbearer.client.id": "--sasl-oauthbearer-client-id",
    "sasl.oauthbearer.client.secret": "--sasl-oauthbearer-client-secret",
    "sasl.oauthbearer.scope": "--sasl-oauthbearer-scope",
    "session.timeout.ms": "--session-timeout",
    **dict.fromkeys(("message.timeout.ms", "delivery.timeout.ms"), "--message-timeout"),
}
"""Properties that have a setting of their own, which a client would take in one of two places."""

COMMITS = "the service commits offsets itself, after their effect"
ORDER = "records would be lost, repeated or out of order after an error"
GROUP = "the service's options name its group and its members"
HOMES = "a word must be on the same partition in every topic"
PROMISES = {
    **dict.fromkeys(
        ("enable.auto.commit", "auto.commit.interval.ms", "enable.auto.offset.store", "auto.offset.reset"), COMMITS
    ),
    "isolation.level": "records of aborted transactions would be read",
    **dict.fromkeys(("transactional.id", "transaction.timeout.ms"), "a replica's identity belongs to its slot"),
    **dict.fromkeys(
        (
            *("enable.idempotence", "acks", "request.required.acks", "retries", "message.send.max.retries"),
            *("max.in.flight", "max.in.flight.requests.per.connection", "enable.gapless.guarantee"),
        ),
        ORDER,
    ),
    **dict.fromkeys(
        ("group.id", "group.instance.id", "group.protocol", "group.remote.assignor", "partition.assignment.strategy"),
        GROUP,
    ),
    **dict.fromkeys(("partitioner", "sticky.partitioning.linger.ms"), HOMES),
    "max.poll.interval.ms": "a replica that hangs ends itself after this time",
    "allow.auto.create.topics": "provision creates the topics, as they are declared",
    "statistics.interval.ms": "the service sees by them that its loop turns",
    **dict.fromkeys(("enabled_events", "opaque", "client.id"), "the service sets it"),
}
"""Properties that a service depends on, and why."""


def parse_properties(text: str) -> dict[str, str]:
    """The properties of `name=value,name=value`; a new line separates them, too.

    Raises:
        ValueError: a part is not of this form, or a property is not for users to set.
    """
    properties: dict[str, str] = {}
    for part in filter(None, map(str.strip, NEXT.split(text))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not name or not equals:
            raise ValueError(f"--client-properties: {name!r} has no value; write name=value,name=value")
        if name in SETTINGS:
            raise ValueError(f"--client-properties must not set {name}: set {SETTINGS[name]} instead")
        if name in PROMISES or name.startswith("test.mock."):
            why = PROMISES.get(name, "the services talk to a real cluster")
            raise ValueError(f"--client-properties must not set {name}: {why}")
        properties[name] = value
    return properties
