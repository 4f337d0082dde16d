"""Command lines, heaps and configurations of the JVM processes. This module starts nothing itself."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newsroom_stack.catalogue import BROKERS
from newsroom_stack.errors import StackError
from newsroom_stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from newsroom_stack.jvm.artifacts import Artifacts

LOG_CONFIG = Path(__file__).parent / "jars" / "log4j2.xml"

CLUSTER_ID = "bmV3c3Jvb20tY2x1c3Rlcg"
"""All nodes share it. Kafka requires 22 characters of URL-safe base64."""

HEAP = {"broker": "320m", "registry": "192m", "connect": "192m", "tool": "256m"}
"""Sized so that three brokers, the registry, Connect and the services together stay below 3 GiB."""

ASCII_END = 0x80

FRUGAL = (
    # On two cores the serial collector pauses no longer than the parallel ones, and it needs less memory.
    "-XX:+UseSerialGC",
    # C1 alone halves the start-up time. It is fast enough for thousands of records a second.
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)

LEADER_BALANCE_SECONDS = 10
"""Interval at which the controller moves partitions back to their preferred leaders."""

INTERNAL_TOPIC_PARTITIONS = 6
"""Partitions of __consumer_offsets and __transaction_state. Kafka's default of 50 costs memory and start-up time; six
spread the coordinators over three brokers."""


@dataclass(frozen=True)
class Launch:
    """A command with its environment and working directory."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


@dataclass(frozen=True)
class Node:
    """A combined broker and controller."""

    node_id: int
    port: int
    controller_ports: tuple[int, ...]
    data: Path

    @property
    def properties_file(self) -> Path:
        """The node's configuration file; each start writes it again."""
        return self.data / "server.properties"


PROPERTIES: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "num.partitions": 3,
    "default.replication.factor": BROKERS,
    "min.insync.replicas": 2,
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": BROKERS,
    "offsets.topic.num.partitions": INTERNAL_TOPIC_PARTITIONS,
    "transaction.state.log.replication.factor": BROKERS,
    "transaction.state.log.min.isr": 2,
    "transaction.state.log.num.partitions": INTERNAL_TOPIC_PARTITIONS,
    "share.coordinator.state.topic.replication.factor": BROKERS,
    "share.coordinator.state.topic.min.isr": 2,
    "share.coordinator.state.topic.num.partitions": INTERNAL_TOPIC_PARTITIONS,
    # After a restart the first broker leads every partition. The default waits five minutes to rebalance.
    "leader.imbalance.check.interval.seconds": LEADER_BALANCE_SECONDS,
    # The partitions of a killed broker have new leaders after three seconds and not nine. It cannot register
    # again before. Where it was the controller, its successor waits as long from its election on.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1500,
    # A transaction's marker that a paused broker holds is sent anew, and the producer's next transaction waits for all
    # markers. After 4 s, twice this time, the partition has a new leader. The default is 30 s.
    "request.timeout.ms": 2000,
    # Retention is looked at every five seconds and not five minutes, so that somebody can watch it.
    "log.retention.check.interval.ms": 5000,
    # Kafka's default delays a group's first member by three seconds.
    "group.initial.rebalance.delay.ms": 0,
    # For the protocol of KIP-848 the brokers choose: as quick as the members of the classic one.
    "group.consumer.min.heartbeat.interval.ms": 500,
    "group.consumer.heartbeat.interval.ms": 500,
    "group.consumer.min.session.timeout.ms": 6000,
    "group.consumer.session.timeout.ms": 10000,
    # Static members and tests use short sessions.
    "group.min.session.timeout.ms": 1000,
    # Three brokers share two cores.
    "num.network.threads": 2,
    "num.io.threads": 2,
    "num.replica.fetchers": 1,
    "num.recovery.threads.per.data.dir": 1,
    "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
    # Brokers abort a killed producer's transaction soon after its timeout.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
}
"""What all nodes have in their server.properties."""


def node_properties(node: Node) -> str:
    """The node's server.properties, in ASCII.

    Raises:
        StackError: Kafka cannot store data in a folder with this name.
    """
    voters = ",".join(f"{i}@{LOOPBACK}:{port}" for i, port in enumerate(node.controller_ports, 1))
    properties = {
        "node.id": node.node_id,
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://{LOOPBACK}:{node.port},"
        f"CONTROLLER://{LOOPBACK}:{node.controller_ports[node.node_id - 1]}",
        "advertised.listeners": f"PLAINTEXT://localhost:{node.port}",
        "log.dirs": _escaped(_usable(node.data / "log")),
        **PROPERTIES,
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def format_storage(artifacts: Artifacts, node: Node) -> Launch | None:
    """Write the node's configuration. Return the command that formats its storage, or None if it is formatted."""
    node.data.mkdir(parents=True, exist_ok=True)
    node.properties_file.write_text(node_properties(node), encoding="utf-8")
    if (node.data / "log" / "meta.properties").exists():
        return None
    arguments = ["format", "--cluster-id", CLUSTER_ID, "--config", str(node.properties_file)]
    launch = kafka_class(artifacts, "kafka.tools.StorageTool", arguments)
    return Launch(f"format-{node.node_id}", launch.argv, launch.env, node.data)


def broker(artifacts: Artifacts, node: Node) -> Launch:
    """The command that runs a node."""
    argv = _java(artifacts, "broker", "kafka.Kafka", str(node.properties_file))
    return Launch(f"kafka-{node.node_id}", argv, _environment(), node.data)


def connect(artifacts: Artifacts, *, configs: Path, bootstrap: str, port: int, offsets: Path, sink: Path) -> Launch:
    """Connect standalone with the file sink. The configuration files read these variables."""
    environment = _environment() | {
        "NEWSROOM_BOOTSTRAP_SERVERS": bootstrap,
        "NEWSROOM_CONNECT_PORT": str(port),
        "NEWSROOM_CONNECT_OFFSETS": str(offsets),
        "NEWSROOM_SINK_FILE": str(sink),
    }
    files = [str(configs / "connect-standalone.properties"), str(configs / "connect-file-sink.properties")]
    argv = _java(artifacts, "connect", "org.apache.kafka.connect.cli.ConnectStandalone", *files)
    return Launch("connect", argv, environment, sink.parent)


def registry(artifacts: Artifacts, *, data: Path, port: int, health_port: int) -> Launch:
    """Apicurio Registry, which keeps its schemas in a file."""
    data.mkdir(parents=True, exist_ok=True)
    environment = _environment() | {
        "QUARKUS_HTTP_HOST": LOOPBACK,
        "QUARKUS_HTTP_PORT": str(port),
        "QUARKUS_MANAGEMENT_HOST": LOOPBACK,
        "QUARKUS_MANAGEMENT_PORT": str(health_port),
        "APICURIO_STORAGE_KIND": "sql",
        "APICURIO_STORAGE_SQL_KIND": "h2",
        "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{_usable(data / 'registry')}",
        # Without this rule the registry accepts every schema.
        "APICURIO_RULES_GLOBAL_COMPATIBILITY": "BACKWARD",
        "APICURIO_REST_DELETION_ARTIFACT_ENABLED": "true",
        "APICURIO_REST_DELETION_ARTIFACT_VERSION_ENABLED": "true",
        "APICURIO_REST_DELETION_GROUP_ENABLED": "true",
        "QUARKUS_LOG_CONSOLE_COLOR": "false",
    }
    home = artifacts.registry_home
    argv = (str(artifacts.java), *FRUGAL, f"-Xmx{HEAP['registry']}", "-jar", str(home / "quarkus-run.jar"))
    return Launch("registry", argv, environment, home)


def kafka_class(artifacts: Artifacts, main_class: str, arguments: Sequence[str]) -> Launch:
    """A command-line tool of Kafka's own."""
    argv = _java(artifacts, "tool", main_class, *arguments, log_level="WARN")
    return Launch(main_class.rpartition(".")[2], argv, _environment(), Path.cwd())


def _usable(path: Path) -> Path:
    # Kafka splits folders at commas, and H2 splits options at semicolons. Both would write outside the home.
    if {",", ";"} & set(str(path)):
        raise StackError(f"{path} has a comma or a semicolon in its name: choose another folder with NEWSROOM_HOME")
    return path


def _escaped(value: object) -> str:
    # Java reads .properties files as Latin-1 with \uXXXX escapes.
    units = str(value).replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[i : i + 2]) for i in range(0, len(units), 2))
    return "".join(chr(code) if code < ASCII_END else f"\\u{code:04x}" for code in codes)


def _java(
    artifacts: Artifacts, heap: str, main_class: str, *arguments: str, log_level: str = "INFO"
) -> tuple[str, ...]:
    classpath = os.pathsep.join(str(path) for path in artifacts.kafka_classpath)
    options = (f"-Xmx{HEAP[heap]}", f"-Dlog4j2.configurationFile={LOG_CONFIG}", f"-Dnewsroom.log.level={log_level}")
    return (str(artifacts.java), *FRUGAL, *options, "-cp", classpath, main_class, *arguments)


def _environment() -> dict[str, str]:
    # The Java options of the user's shell are for other programs.
    own = {"JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"}
    inherited = {name: value for name, value in os.environ.items() if name not in own}
    # glibc's arena for each thread costs a JVM about 100 MiB. In the C locale Java cannot open non-ASCII file names.
    return inherited | {"MALLOC_ARENA_MAX": "2", "LC_ALL": "C.UTF-8"}
