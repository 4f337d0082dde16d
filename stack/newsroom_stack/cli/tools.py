"""Kafka's own command-line tools, under the names of its scripts (`kafka-topics.sh` is `topics`)."""

from __future__ import annotations

from newsroom_stack.errors import StackError

KAFKA_TOOLS = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "console-share-consumer": "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "features": "org.apache.kafka.tools.FeatureCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "share-groups": "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    "streams-application-reset": "org.apache.kafka.tools.StreamsResetter",
    "streams-groups": "org.apache.kafka.tools.streams.StreamsGroupCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
    "verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
}

TOOLS_HELP = """Usage: newsroom kafka TOOL [OPTION…]

Runs a command-line tool of Kafka's own, with the brokers of this stack. 'newsroom kafka TOOL --help' lists its options.

Tools:
  """ + "\n  ".join(KAFKA_TOOLS)

WITHOUT_BROKERS = frozenset({"dump-log"})
"""Tools that read files and take no --bootstrap-server."""


def tool_class(tool: str) -> str:
    """The Java class of a tool.

    Raises:
        StackError: there is no such tool; the message lists the tools.
    """
    if tool not in KAFKA_TOOLS:
        raise StackError(f"there is no tool '{tool}': {', '.join(KAFKA_TOOLS)}")
    return KAFKA_TOOLS[tool]


def with_brokers(tool: str, arguments: list[str], bootstrap: str) -> list[str]:
    """The arguments with the stack's brokers, where the tool takes them and the user names none."""
    if tool in WITHOUT_BROKERS or any(argument.startswith("--bootstrap") for argument in arguments):
        return arguments
    return ["--bootstrap-server", bootstrap, *arguments]
