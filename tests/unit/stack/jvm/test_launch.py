"""Command lines, configurations and environments of the JVM members."""

import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from newsroom_stack.errors import StackError
from newsroom_stack.jvm import launch as jvm
from newsroom_stack.jvm.artifacts import LOCK_FILE, Artifacts
from newsroom_stack.layout import REPOSITORY

ARTIFACTS = Artifacts((Path("/cache/a.jar"), Path("/cache/b.jar")), Path("/cache/registry"), Path("/jre/bin/java"))
CONTROLLERS = (29093, 39093, 49093)
CONFIGS = REPOSITORY / "kafka-connect-configs"


def node(data: Path, node_id: int = 2) -> jvm.Node:
    port = (29092, 39092, 49092)[node_id - 1]
    return jvm.Node(node_id=node_id, port=port, controller_ports=CONTROLLERS, data=data)


def properties(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_a_node_listens_on_the_loopback_alone_and_is_reached_as_localhost() -> None:
    config = properties(jvm.node_properties(node(Path("/data"))))
    assert config["listeners"] == "PLAINTEXT://127.0.0.1:39092,CONTROLLER://127.0.0.1:39093"
    assert config["advertised.listeners"] == "PLAINTEXT://localhost:39092"
    assert config["controller.quorum.voters"] == "1@127.0.0.1:29093,2@127.0.0.1:39093,3@127.0.0.1:49093"
    assert config["log.dirs"].startswith("/data/")


def test_acknowledged_records_survive_the_loss_of_a_node() -> None:
    config = properties(jvm.node_properties(node(Path("/data"))))
    for prefix in ("default", "offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert config[f"{prefix}.replication.factor"] == "3", prefix
    assert config["min.insync.replicas"] == "2"
    assert config["transaction.state.log.min.isr"] == "2"
    assert config["share.coordinator.state.topic.min.isr"] == "2"


def test_a_mistyped_topic_is_not_created_and_a_first_consumer_does_not_wait() -> None:
    config = properties(jvm.node_properties(node(Path("/data"))))
    assert config["auto.create.topics.enable"] == "false"
    assert config["group.initial.rebalance.delay.ms"] == "0"


def test_a_folder_of_any_language_is_written_so_that_java_reads_it(tmp_path: Path) -> None:
    text = jvm.node_properties(node(tmp_path / "bücher 𝄞 c:\\x"))
    assert text.isascii()
    assert properties(text)["log.dirs"].endswith("b\\u00fccher \\ud834\\udd1e c:\\\\x/log")
    assert jvm.broker(ARTIFACTS, node(tmp_path)).env["LC_ALL"] == "C.UTF-8"


@pytest.mark.parametrize("name", ["a,b", "a;b"])
def test_a_folder_that_kafka_would_take_for_two_is_refused(name: str) -> None:
    with pytest.raises(StackError, match="NEWSROOM_HOME"):
        jvm.node_properties(node(Path("/data") / name))


def test_nodes_differ_in_what_must_differ_only() -> None:
    first, third = (properties(jvm.node_properties(node(Path("/data"), i))) for i in (1, 3))
    differing = {name for name in first if first[name] != third[name]}
    assert differing == {"node.id", "listeners", "advertised.listeners"}


def test_storage_is_formatted_once_and_the_configuration_written_each_time(tmp_path: Path) -> None:
    this = node(tmp_path / "kafka-2")
    launch = jvm.format_storage(ARTIFACTS, this)
    assert launch is not None
    assert "kafka.tools.StorageTool" in launch.argv
    assert launch.argv[launch.argv.index("--cluster-id") + 1] == jvm.CLUSTER_ID
    (this.data / "log").mkdir()
    (this.data / "log" / "meta.properties").touch()
    this.properties_file.unlink()
    assert jvm.format_storage(ARTIFACTS, this) is None
    assert this.properties_file.read_text() == jvm.node_properties(this)


def test_the_cluster_id_is_one_that_kafka_takes() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", jvm.CLUSTER_ID)


def test_a_broker_runs_kafka_with_its_configuration_and_a_bounded_heap(tmp_path: Path) -> None:
    this = node(tmp_path)
    launch = jvm.broker(ARTIFACTS, this)
    assert launch.name == "kafka-2"
    assert launch.argv[0] == "/jre/bin/java"
    assert launch.argv[-2:] == ("kafka.Kafka", str(this.properties_file))
    assert launch.argv[launch.argv.index("-cp") + 1] == "/cache/a.jar:/cache/b.jar"
    assert any(option.startswith("-Xmx") for option in launch.argv)


def test_java_options_of_the_users_shell_do_not_reach_the_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Xmx8g")
    monkeypatch.setenv("CLASSPATH", "/old/kafka")
    env = jvm.broker(ARTIFACTS, node(Path("/data"))).env
    assert not {"JAVA_TOOL_OPTIONS", "CLASSPATH"} & set(env)
    assert env["MALLOC_ARENA_MAX"] == "2"
    assert env["PATH"] == os.environ["PATH"]


def test_the_registry_keeps_its_schemas_and_refuses_incompatible_ones(tmp_path: Path) -> None:
    launch = jvm.registry(ARTIFACTS, data=tmp_path / "registry", port=8081, health_port=8082)
    assert launch.argv[-2:] == ("-jar", "/cache/registry/quarkus-run.jar")
    env = launch.env
    assert env["APICURIO_RULES_GLOBAL_COMPATIBILITY"] == "BACKWARD"
    assert env["APICURIO_DATASOURCE_URL"] == f"jdbc:h2:file:{tmp_path}/registry/registry"
    assert (env["QUARKUS_HTTP_HOST"], env["QUARKUS_HTTP_PORT"]) == ("127.0.0.1", "8081")
    assert (env["QUARKUS_MANAGEMENT_HOST"], env["QUARKUS_MANAGEMENT_PORT"]) == ("127.0.0.1", "8082")
    assert env["APICURIO_REST_DELETION_ARTIFACT_ENABLED"] == "true"
    assert (tmp_path / "registry").is_dir()


def test_connect_gives_its_configurations_every_variable_they_name(tmp_path: Path) -> None:
    launch = jvm.connect(
        ARTIFACTS,
        configs=CONFIGS,
        bootstrap="localhost:29092",
        port=8083,
        offsets=tmp_path / "offsets",
        sink=tmp_path / "test.sink.txt",
    )
    files = [Path(argument) for argument in launch.argv[-2:]]
    named = {name for file in files for name in re.findall(r"\$\{env:(\w+)\}", file.read_text())}
    assert named
    assert named <= set(launch.env)
    assert launch.env["NEWSROOM_SINK_FILE"] == str(tmp_path / "test.sink.txt")
    allowed = properties(files[0].read_text())["config.providers.env.param.allowlist.pattern"]
    assert all(re.fullmatch(allowed, name) for name in named)
    assert not re.fullmatch(allowed, "AWS_SECRET_ACCESS_KEY")


def test_the_sink_is_the_labs() -> None:
    sink = properties((CONFIGS / "connect-file-sink.properties").read_text())
    assert (sink["name"], sink["topics"]) == ("local-file-sink", "mytopic")
    worker = properties((CONFIGS / "connect-standalone.properties").read_text())
    assert worker["value.converter"].endswith(".StringConverter")
    assert worker["listeners"].startswith("http://127.0.0.1:")


def test_any_tool_of_kafkas_can_be_run() -> None:
    launch = jvm.kafka_class(ARTIFACTS, "org.apache.kafka.tools.TopicCommand", ["--list"])
    assert launch.name == "TopicCommand"
    assert launch.argv[-2:] == ("org.apache.kafka.tools.TopicCommand", "--list")


def test_logs_go_to_standard_output_and_the_file_is_well_formed() -> None:
    consoles = ET.fromstring(jvm.LOG_CONFIG.read_text()).findall("./Appenders/Console")  # noqa: S314 - our own file
    assert [console.get("target") for console in consoles] == ["SYSTEM_OUT"]


def test_the_lock_pins_checksums_and_names_no_address() -> None:
    text = LOCK_FILE.read_text()
    assert text.count("[[dependencies]]") == len(re.findall(r'^sha256 = "[0-9a-f]{64}"$', text, re.MULTILINE))
    assert "://" not in text
    kafka = re.findall(r'^groupId = "org\.apache\.kafka"\nartifactId = ".*"\nversion = "(.*)"$', text, re.MULTILINE)
    assert set(kafka) == {"4.3.1"}
