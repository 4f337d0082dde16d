"""Every service at a broker that asks for logins, certificates and rights: what is missing ends it, by a sentence.

All services run side by side, a few at a time, before the first test: they mostly wait, and each test looks at its own.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from newsroom.access import Right
from newsroom.errors import LastingFailure
from newsroom.topics import ALL_TOPICS, JOIN_DLQ, WORDCOUNT_DLQ
from newsroom_stack.pipeline.observe import Observer
from support.secured import UNRESOLVABLE, SecuredBroker, free_ports, make_certificates
from support.waiting import wait_for

AT_ONCE = 8
"""Services that run at the same time."""

END_SECONDS = 60.0
"""Nearly all of it is for the imports of a busy machine: a service ends within eight seconds of its first line."""

ANSI = re.compile(r"\x1b\[[0-9;]*m")

FIXED = (WORDCOUNT_DLQ, JOIN_DLQ)
"""Topics whose names are no settings of provision: they are as it declares them."""

OWN_TOPICS = ("strings", "news", "deltas", "counts", "labels", "joined")

COMMANDS = {
    "news-producer": ("news-producer", "--format", "string"),
    "avro-consumer": ("avro-consumer", "--group", "{group}"),
    "kip-848": ("avro-consumer", "--group", "{group}", "--group-protocol", "consumer"),
    # A group makes topics of its own, which needs CREATE. These are there.
    "wordcount-stream": (
        *("wordcount-stream", "--consumer-group", "{group}"),
        *("--deltas-topic", "word-deltas", "--dlq-topic", "wordcount-stream.dlq"),
    ),
    "join-service": ("join-service", "--consumer-group", "{group}", "--dlq-topic", "join-service.dlq"),
    "status-api": ("status-api",),
    # Topics of its own: those of the pipeline are there already, with one partition.
    "provision": (
        *("provision", "--no-registry", "--brokers", "1", "--replication-factor", "1", "--forget-groups", "{group}-"),
        *(word for name in OWN_TOPICS for word in (f"--{name}-topic", f"{{group}}-{name}")),
    ),
}

WORKING = ("avro-consumer", "wordcount-stream", "join-service", "status-api", "news-producer")
"""The services of the pipeline; the last one ends by itself."""


def on_topics(operation: str, *topics: str) -> list[Right]:
    return [Right(operation, "topic", topic) for topic in topics]


def of_a_stream(group: str) -> list[Right]:
    changelog = [
        Right(operation, "topic", f"changelog__{group}--*")
        for operation in ("CREATE", "READ", "WRITE", "DESCRIBE_CONFIGS")
    ]
    return [*changelog, Right("READ", "group", group), Right("WRITE", "transactional-id", f"{group}-*")]


def rights_of(service: str, group: str) -> list[Right]:
    """The least rights of a service, as docs/access.md lists them."""
    if service == "news-producer":
        return on_topics("WRITE", "mytopic")
    if service in {"avro-consumer", "kip-848"}:
        return [*on_topics("READ", "news"), *on_topics("WRITE", "news.dlq"), Right("READ", "group", group)]
    if service == "wordcount-stream":
        inputs = ("mytopic", "news", "word-deltas")
        outputs = on_topics("WRITE", "word-deltas", "word-counts", "wordcount-stream.dlq")
        return [*on_topics("READ", *inputs), *on_topics("DESCRIBE_CONFIGS", *inputs), *outputs, *of_a_stream(group)]
    if service == "join-service":
        sides = ("word", "word-counts")
        described = on_topics("DESCRIBE_CONFIGS", *sides, "words-joined")
        outputs = on_topics("WRITE", "words-joined", "join-service.dlq")
        return [*on_topics("READ", *sides), *described, *outputs, *of_a_stream(group)]
    if service == "status-api":
        everything = [Right("DESCRIBE", "cluster", ""), Right("DESCRIBE", "group", "*")]
        topics = [*on_topics("DESCRIBE", "*"), *on_topics("DESCRIBE_CONFIGS", "*")]
        return [*everything, *topics, *on_topics("READ", "word-counts", "words-joined")]
    looks = ("DESCRIBE", "DESCRIBE_CONFIGS")
    own = [Right(operation, "topic", f"{group}-*") for operation in ("CREATE", *looks)]
    return [*own, *(Right(operation, "topic", topic.name) for topic in FIXED for operation in looks)]


def to_forget_groups(prefix: str) -> list[Right]:
    """What provision needs besides to delete groups whose names begin so."""
    return [Right(operation, "group", f"{prefix}*") for operation in ("DESCRIBE", "DELETE")]


@dataclass(frozen=True)
class Case:
    """A service, and what is wrong; `sentence` is what its last words match."""

    service: str
    cause: str
    sentence: str
    lacking: Right | None = None
    listener: str = "sasl"
    protocol: str = ""
    """What the service speaks, if that is not the listener's protocol."""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The user, and the consumer group, of this case."""
        return f"{self.service}--{_words(self.cause)}"


def _words(text: str) -> str:
    return re.sub("[^A-Za-z0-9]+", "-", text).strip("-")


def denials() -> Iterator[Case]:
    """Each service without each of its rights."""
    for service in ("news-producer", "avro-consumer", "kip-848", "wordcount-stream", "join-service", "provision"):
        for right in rights_of(service, "GROUP"):
            if service == "kip-848" and right.kind != "group":
                continue  # as with the classic protocol
            if service == "join-service" and right.name.startswith("changelog__"):
                continue  # as with the word count
            if service == "provision" and not right.name.endswith("*"):
                continue  # without it the topic seems to be missing
            name = f"{service}--{_words(str(right))}"
            lacking = Right(right.operation, right.kind, right.name.replace("GROUP", name))
            resource = re.escape(lacking.resource.removesuffix("*")) + (r"\S+" if lacking.name.endswith("*") else "")
            what = rf"user {name} may not (.* and )?{right.operation} {resource} (and .*)?at localhost:\d+"
            yield Case(service, str(right), rf"{what}.*: add an ACL that allows User:{name} ", lacking)


def connections() -> Iterator[Case]:
    """Each service with a wrong password and name, and one of each kind of client with all the rest."""
    refused = r"the login of user \S+ with --sasl-mechanism \S+ at localhost:\d+ was refused .*: check --sasl-username"
    tls = r"no TLS connection to localhost:\d+ .*certificate verify failed.*: check --ssl-ca-location"
    other = r"localhost:\d+ is a listener for {}(, with the mechanisms PLAIN)?, but the client speaks {}: set --sec"
    needs = r"localhost:\d+ closed the connection during the TLS handshake, .*: set --ssl-certificate-location"
    named = rf"call themselves {re.escape(UNRESOLVABLE)}, which cannot be resolved .*advertised\.listeners"
    no_name = r"broker\.invalid:9092 cannot be resolved on this machine: correct --bootstrap-servers"
    other_authority = {"NEWSROOM_SSL_CA_LOCATION": "{folder}/other-ca.pem"}
    for service in (*WORKING, "provision"):
        case = partial(Case, service)
        yield case("wrong password", refused, variables={"NEWSROOM_SASL_PASSWORD": "wrong"})
        yield case("advertised name", named, listener="unreachable")
        if service not in {"avro-consumer", "wordcount-stream", "status-api"}:
            continue
        yield case("plain to TLS", other.format("SSL", "PLAINTEXT"), listener="tls", protocol="PLAINTEXT")
        yield case("wrong mechanism", refused, variables={"NEWSROOM_SASL_MECHANISM": "SCRAM-SHA-256"})
        yield case("bootstrap name", no_name, variables={"NEWSROOM_BOOTSTRAP_SERVERS": "broker.invalid:9092"})
        yield case("unknown CA", tls, listener="sasl_tls", variables=other_authority)
        yield case("TLS to plain", other.format("PLAINTEXT", "SSL"), listener="plaintext", protocol="SSL")
        yield case("login to none", refused, listener="plaintext", protocol="SASL_PLAINTEXT")
        yield case("no certificate", needs, listener="mutual_tls", protocol="SSL")
        yield case("none to login", other.format("SASL_PLAINTEXT", "PLAINTEXT"), protocol="PLAINTEXT")


CASES = [*denials(), *connections()]
REVOKED = "revoked"
"""A user of the word count who loses a right."""
KILLED = "killed"
"""A user of a word count that is killed and starts again."""
BLIND = "blind"
"""A user of the status API who may see hardly anything."""


class Services:
    """Starts the services' own commands against the broker."""

    def __init__(self, broker: SecuredBroker) -> None:
        self.broker = broker

    @contextmanager
    def run(
        self, service: str, name: str, environment: Mapping[str, str], port: int = 0
    ) -> Iterator[subprocess.Popen[bytes]]:
        """One service, killed at the end; `name` is that of its folder, log and consumer group."""
        home = self.broker.folder / name
        home.mkdir(exist_ok=True)
        program, *options = (word.format(group=name) for word in COMMANDS[service])
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("NEWSROOM_")}
        own = {"REGISTRY_URL": "mock://registry", "STATE_DIR": str(home), "HTTP_PORT": str(port)}
        variables = dict(environment) | {f"NEWSROOM_{key}": value for key, value in own.items()}
        command = [str(Path(sys.executable).parent / program), *options]
        with (self.broker.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=home, env=inherited | variables)
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def log(self, name: str) -> str:
        """What a service has written."""
        return ANSI.sub("", (self.broker.folder / f"{name}.log").read_text())

    def ended(self, case: Case) -> int | None:
        """Run a case to its end; its exit code, or None if it did not end by itself."""
        variables = {key: value.format(folder=self.broker.folder) for key, value in case.variables.items()}
        environment = self.broker.environment(case.listener, case.name, case.protocol) | variables
        with self.run(case.service, case.name, environment) as process:
            try:
                return process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                return None


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("secured")
    allowed = {case.name: rights_of(case.service, case.name) for case in CASES}
    for case in CASES:
        if case.lacking is not None:
            allowed[case.name].remove(case.lacking)
    allowed |= {service: rights_of(service, service) for service in WORKING}
    allowed["provision"] = [*rights_of("provision", "provision"), *to_forget_groups("provision-")]
    for user in (REVOKED, KILLED):
        allowed[user] = rights_of("wordcount-stream", user)
    allowed[BLIND] = on_topics("DESCRIBE", "*")
    make_certificates(folder, "other")
    with SecuredBroker(folder, allowed) as broker:
        broker.create(*(topic.name for topic in ALL_TOPICS if topic not in FIXED), declared=FIXED)
        broker.allow(allowed)
        send(broker, "news", None, b"poison")  # so that the consumer writes to news.dlq
        yield Services(broker)


@pytest.fixture(scope="module")
def codes(services: Services) -> dict[str, int | None]:
    """How each case ended."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip((case.name for case in CASES), pool.map(services.ended, CASES), strict=True))


def send(broker: SecuredBroker, topic: str, key: bytes | None, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": broker.addresses["plaintext"]})
    producer.produce(topic, value, key)
    assert producer.flush(END_SECONDS) == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_missing_ends_the_service_by_a_sentence(
    services: Services, codes: dict[str, int | None], case: Case
) -> None:
    log = services.log(case.name)
    assert codes[case.name] == LastingFailure.exit_code, log
    (sentence,) = [line for line in log.splitlines() if "error=LastingFailure" in line]
    assert re.search(case.sentence, sentence), sentence
    assert "Traceback" not in log
    assert "KTable" not in log, "a count that was never committed"


def pipeline(port: int) -> dict[str, Any]:
    """What the status API tells; nothing before it can."""
    with suppress(httpx.TransportError):
        answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/pipeline", timeout=10)
        return dict(answer.json()) if answer.is_success else {}
    return {}


@pytest.mark.timeout(200)
def test_with_the_least_rights_each_service_does_its_work(services: Services) -> None:
    observer = Observer(services.broker.addresses["plaintext"])
    (port,) = free_ports(1)
    with ExitStack() as running:
        for service in WORKING:
            environment = services.broker.environment("sasl_tls", service)
            process = running.enter_context(
                services.run(service, service, environment, port if service == "status-api" else 0)
            )
        assert process.wait(END_SECONDS) == 0, services.log("news-producer")
        wait_for("the counts", lambda: observer.counts().get("value10") == 1)
        ends = observer.end_offsets("word-counts")
        wait_for("the join's table", lambda: observer.passed("join-service", "word-counts", ends))
        send(services.broker, "word", b"value10", b"active")
        wait_for("the pair", lambda: observer.joined() == [("value10", 1, "active")])
        wait_for("the dead letter", lambda: observer.read("news.dlq"))
        wait_for("the words on the page", lambda: pipeline(port).get("words_counted"))
        figures = pipeline(port)
        assert (figures["error"], figures["tables_error"]) == (None, None)
    for service in WORKING:
        assert " may not " not in services.log(service)


@pytest.mark.timeout(150)
def test_with_the_least_rights_a_killed_stream_takes_its_former_member_out_of_the_group(services: Services) -> None:
    environment = services.broker.environment("sasl_tls", KILLED) | {"NEWSROOM_SESSION_TIMEOUT": "60"}
    for _ in range(2):
        with services.run("wordcount-stream", KILLED, environment):
            wait_for("its partitions", lambda: "partitions assigned" in services.log(KILLED), 45)
    assert "a former member of this replica was removed from the group" in services.log(KILLED)


@pytest.mark.timeout(100)
def test_with_the_least_rights_provision_makes_its_topics_and_forgets_groups(services: Services) -> None:
    broker, group = services.broker, "provision-forgotten"
    consumer = Consumer({"bootstrap.servers": broker.addresses["plaintext"], "group.id": group})
    consumer.commit(offsets=[TopicPartition("news", 0, 1)], asynchronous=False)
    consumer.close()
    with services.run("provision", "provision", broker.environment("sasl_tls", "provision")) as process:
        assert process.wait(END_SECONDS) == 0, services.log("provision")
    admin = AdminClient({"bootstrap.servers": broker.addresses["plaintext"]})
    partitions = {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=10).topics.items()}
    assert {partitions[f"provision-{name}"] for name in OWN_TOPICS} == {5, 6}
    assert group not in {listed.group_id for listed in admin.list_consumer_groups().result(10).valid}
    assert " may not " not in services.log("provision")


@pytest.mark.timeout(150)
def test_a_right_that_is_taken_away_ends_a_running_stream(services: Services) -> None:
    broker = services.broker
    with services.run("wordcount-stream", REVOKED, broker.environment("sasl", REVOKED)) as process:
        wait_for("its partitions", lambda: "partitions assigned" in services.log(REVOKED))
        broker.take_away(REVOKED, Right("WRITE", "topic", "word-counts"))
        send(broker, "mytopic", None, b"forbidden")
        assert process.wait(END_SECONDS) == LastingFailure.exit_code, services.log(REVOKED)
    log = services.log(REVOKED)
    assert f"user {REVOKED} may not WRITE topic word-counts at localhost" in log
    assert "forbidden" not in log, "a count that was never committed"


@pytest.mark.timeout(120)
def test_the_status_api_says_what_its_user_may_not_see(services: Services) -> None:
    (port,) = free_ports(1)
    user = f"user {BLIND} may not"
    with services.run("status-api", BLIND, services.broker.environment("sasl", BLIND), port):
        figures = wait_for("a snapshot", lambda: pipeline(port))
        assert f"{user} DESCRIBE cluster at localhost" in figures["error"]

        def denied() -> bool:
            error = pipeline(port)["tables_error"] or ""
            return all(f"{user} READ topic {name} at" in error for name in ("word-counts", "words-joined"))

        wait_for("the tables' denials", denied)
    assert f"{user} READ topic word-counts" in services.log(BLIND)
