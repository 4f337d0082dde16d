"""One broker that asks for logins, certificates and rights: what clients meet at somebody else's cluster."""

import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from newsroom.access import Right
from newsroom.topics import DeclaredTopic
from newsroom_stack.jvm import launch as jvm
from newsroom_stack.jvm.artifacts import ensure_artifacts
from newsroom_stack.jvm.progress import LineProgress
from newsroom_stack.settings import StackSettings
from support.tools import need
from support.waiting import wait_for

PASSWORD = "p:a@ss;w%rd, x"
"""Of every user."""

UNRESOLVABLE = "broker-7.internal.invalid:9092"
"""What the broker calls itself to clients of the listener `unreachable`."""

LISTENERS = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl_tls": "SASL_SSL",
    "sasl": "SASL_PLAINTEXT",
    "mutual_tls": "SSL",
    "oauth": "SASL_PLAINTEXT",
    "unreachable": "PLAINTEXT",
    "controller": "PLAINTEXT",
}
"""Each listener and its protocol. Who comes without a login is ANONYMOUS, a super user: the broker itself is."""

KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
CLUSTER = "kafka-cluster"

SECONDS = 30.0
"""How long an administrative request may take."""


class SecuredBroker:
    """Runs while it is entered; `addresses` names each listener's address, `authority` its CA's certificate."""

    def __init__(self, folder: Path, users: Iterable[str]) -> None:
        self.folder = folder
        self._users = tuple(users)
        self._ports = dict(zip(LISTENERS, free_ports(len(LISTENERS)), strict=True))
        self.addresses = {name: f"localhost:{port}" for name, port in self._ports.items()}
        self.authority = make_certificates(folder, "server")
        self.client_authority = make_certificates(folder, "client")
        self._artifacts = ensure_artifacts(StackSettings().cache, LineProgress())
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        arguments = ["format", "--cluster-id", jvm.CLUSTER_ID, "--config", str(properties)]
        self._run(jvm.kafka_class(self._artifacts, "kafka.tools.StorageTool", arguments)).wait(SECONDS)
        node = jvm.Node(1, self._ports["plaintext"], (self._ports["controller"],), self.folder)
        self._process = self._run(jvm.broker(self._artifacts, node))
        self._admin = AdminClient({"bootstrap.servers": self.addresses["plaintext"], "log_level": 0})
        wait_for("the secured broker", self._answers)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _run(self, launch: jvm.Launch) -> subprocess.Popen[bytes]:
        with (self.folder / f"{launch.name}.log").open("ab") as log:
            return subprocess.Popen(launch.argv, env=dict(launch.env), cwd=launch.cwd, stdout=log, stderr=log)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "kafka-1.log").read_text()[-2000:]
        try:
            return bool(self._admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def _properties(self) -> dict[str, object]:
        advertised = dict(self.addresses, unreachable=UNRESOLVABLE)
        del advertised["controller"]
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required " + " ".join(
            f'user_{user}="{PASSWORD}"' for user in self._users
        )
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._ports['controller']}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in LISTENERS.items()).upper(),
            "listeners": ",".join(f"{name.upper()}://127.0.0.1:{port}" for name, port in self._ports.items()),
            "advertised.listeners": ",".join(f"{name.upper()}://{where}" for name, where in advertised.items()),
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 1,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 8 * 1024 * 1024,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.folder / "server.pem",
            "listener.name.mutual_tls.ssl.client.auth": "required",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.client_authority,
            "sasl.enabled.mechanisms": "PLAIN",
            # Kafka's own validator for tests: it takes tokens without a signature.
            "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
            "listener.name.oauth.oauthbearer.sasl.jaas.config": (
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
                'unsecuredLoginStringClaim_sub="broker";'
            ),
            "listener.name.sasl_tls.plain.sasl.jaas.config": f"{login};",
            "listener.name.sasl.plain.sasl.jaas.config": f"{login};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def create(self, *names: str, declared: Sequence[DeclaredTopic] = ()) -> None:
        """Create topics of one partition, and topics as they are declared, and wait until they have leaders."""
        new = [NewTopic(name, 1, 1) for name in names]
        for topic in declared:
            config = replace(topic, replication_factor=1).full_config()
            new.append(NewTopic(topic.name, topic.partitions, 1, config=config))
        for future in self._admin.create_topics(new).values():
            future.result(SECONDS)

        def led() -> bool:
            topics = self._admin.list_topics(timeout=SECONDS).topics
            return all(topic.topic in topics and topics[topic.topic].partitions[0].leader == 1 for topic in new)

        wait_for("the topics' leaders", led)

    def allow(self, rights: Mapping[str, Iterable[Right]]) -> None:
        """Allow each user its rights and nothing else; a name that ends with `*` is a prefix."""
        bindings = [_binding(user, right) for user, needed in rights.items() for right in needed]
        for future in self._admin.create_acls(bindings).values():
            future.result(SECONDS)
        self._applied(len(set(bindings)))

    def take_away(self, user: str, right: Right) -> None:
        """Take a right from a user that has it."""
        before = len(self._acls())
        for future in self._admin.delete_acls([_binding(user, right, AclBindingFilter)]).values():
            future.result(SECONDS)
        self._applied(before - 1)

    def _applied(self, number: int) -> None:
        # The broker applies them from its metadata log, a moment after the controller's answer.
        wait_for("the broker to apply the rights", lambda: len(self._acls()) == number)

    def _acls(self) -> list[AclBinding]:
        every = AclBindingFilter(
            *(ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY)
        )
        return list(self._admin.describe_acls(every).result(SECONDS))

    def environment(self, listener: str, user: str, protocol: str = "") -> dict[str, str]:
        """The variables that point a service at a listener, with what its protocol, or another one, needs."""
        protocol = protocol or LISTENERS[listener]
        variables = {"BOOTSTRAP_SERVERS": self.addresses[listener], "SECURITY_PROTOCOL": protocol}
        if protocol.endswith("SSL"):
            variables["SSL_CA_LOCATION"] = str(self.authority)
        if protocol.startswith("SASL"):
            variables |= {"SASL_MECHANISM": "PLAIN", "SASL_USERNAME": user, "SASL_PASSWORD": PASSWORD}
        return {f"NEWSROOM_{name}": value for name, value in variables.items()}


def _binding(user: str, right: Right, kind: type[Any] = AclBinding) -> Any:  # noqa: ANN401 - confluent-kafka is untyped
    name = right.name or CLUSTER
    pattern = ResourcePatternType.PREFIXED if name.endswith("*") and name != "*" else ResourcePatternType.LITERAL
    return kind(
        KINDS[right.kind],
        name if name == "*" else name.removesuffix("*"),
        pattern,
        f"User:{user}",
        "*",
        AclOperation[right.operation],
        AclPermissionType.ALLOW,
    )


def free_ports(number: int) -> list[int]:
    """So many different ports that nobody listens on; all are open at once, so that none is named twice."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def make_certificates(folder: Path, name: str) -> Path:
    """Make an authority, and a key and certificate for localhost in `name`.pem; return the authority's certificate."""
    openssl = need("openssl", "openssl")

    def run(command: str) -> None:
        subprocess.run([openssl, *command.split()], check=True, capture_output=True, cwd=folder)

    (folder / f"{name}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    new_key = "req -newkey rsa:2048 -nodes"
    run(f"{new_key} -x509 -days 2 -subj /CN={name}-authority -keyout {name}-ca.key -out {name}-ca.pem")
    run(f"{new_key} -subj /CN=localhost -keyout {name}.key -out {name}.csr")
    run(
        f"x509 -req -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key -CAcreateserial -days 2 "
        f"-extfile {name}.ext -out {name}.crt"
    )
    (folder / f"{name}.pem").write_text((folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text())
    return folder / f"{name}-ca.pem"
