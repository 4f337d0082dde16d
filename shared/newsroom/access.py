"""Tells causes that waiting cannot change from an outage: rights, logins, certificates and addresses.

Each client of the cluster has an `Access`. Its error callback is `note`, and the service calls `check` in its loop and
`no_answer` after each failed attempt of its start.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from typing_extensions import override

from newsroom.errors import LastingFailure
from newsroom.kafka_errors import LASTING, kafka_error
from newsroom.listener import listener_at, split_address
from newsroom.waiting import Deadline

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

FIRST_LOOK_SECONDS = 1.0
LOOK_SECONDS = 3.0
"""When a start without an answer looks at the addresses itself: a moment after the first failure, then now and then.
While no name resolves it looks as often as at first."""

SETTLE_SECONDS = 5.0
"""A refused login or certificate ends the service at its second occurrence, or this long after the first one."""

LOGIN, HANDSHAKE = "login", "TLS handshake"
CONNECTING = frozenset({LOGIN, HANDSHAKE})
"""The operations of a client that no broker has accepted yet."""

NAMELESS_SECONDS = 4.0
"""A container's name resolves only while it runs, so the bootstrap list may be without a name for this long."""

KINDS = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional-id",
}
"""The kind of resource that each code is about, as kafka-acls names it."""

CERTIFICATES = ("ssl.certificate.location", "ssl.keystore.location", "ssl.certificate.pem")
"""The properties of librdkafka that give the client a certificate."""

LOGIN_REFUSED = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - librdkafka's own codes begin so
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
    }
)

NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""Not EAI_AGAIN: a name server that does not answer may answer later."""


@dataclass(frozen=True)
class Right:
    """One operation on one resource, as in an ACL: `Right("READ", "topic", "news")`."""

    operation: str
    kind: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.operation} {self.resource}"

    @property
    def resource(self) -> str:
        """The resource as a reader names it."""
        return f"{self.kind} {self.name}".strip()


class Access:
    """What one client, with this configuration, may and may not do; `rights` are those that it needs."""

    def __init__(self, config: Mapping[str, Any], *rights: Right) -> None:
        self.address: str = config["bootstrap.servers"]
        self.protocol: str = config.get("security.protocol", "PLAINTEXT")
        client = config.get("sasl.oauthbearer.client.id")
        self._user: str | None = config.get("sasl.username") or client
        self._login_settings = "--sasl-oauthbearer-*" if client else "--sasl-username, --sasl-password"
        self._mechanism = config.get("sasl.mechanism")
        self._certificate = next((config[name] for name in CERTIFICATES if name in config), None)
        self.rights = rights
        self._refusals: list[LastingFailure] = []
        self._settled: Deadline | None = None
        self._look: Deadline | None = None
        self._nameless: Deadline | None = None
        self._unknown_brokers: set[str] = set()

    @property
    def principal(self) -> str:
        """Who the cluster takes the client for."""
        if self._user is not None:
            return f"User:{self._user}"
        return f"the certificate {self._certificate}" if self._certificate else "without login"

    def failure(self, error: KafkaError | KafkaException, *rights: Right) -> LastingFailure | None:
        """The lasting failure that an error means, or None if the same request may succeed later.

        `rights` are those that the request needs, if they are not all those of the client.
        """
        inner = kafka_error(error) if isinstance(error, KafkaException) else error
        code, text = inner.code(), _plain(inner.str())
        if code in KINDS:
            own, needed = ([right for right in some if right.kind == KINDS[code]] for some in (self.rights, rights))
            return self.denied(needed or own or _writes(code, (*rights, *self.rights)), text)
        if code not in LASTING:
            return None
        if code in LOGIN_REFUSED:
            login = f"user {self._user} with --sasl-mechanism {self._mechanism}" if self._user else "this client"
            return self._failed(
                f"the login of {login} at {_at(inner.str()) or self.address} was refused ({text}): check "
                f"{self._login_settings}, --sasl-mechanism and --security-protocol",
                operation=LOGIN,
            )
        if code == KafkaError._SSL:  # noqa: SLF001
            return self._failed(
                f"no TLS connection to {_at(inner.str()) or self.address} ({text}): check --ssl-ca-location, the name "
                "in the broker's certificate, and --security-protocol",
                operation=HANDSHAKE,
            )
        return self._failed(f"the cluster at {self.address} refuses a request ({text}): its policy must change first")

    def denied(self, rights: Iterable[Right], text: str = "") -> LastingFailure:
        """The failure of a client that lacks these rights; `text` is the broker's own."""
        lacking = list(rights)
        what = " and ".join(map(str, lacking)) or "do this"
        who = f"user {self._user}" if self._user else f"this client ({self.principal})"
        owner = self.principal if self._user else "its principal"
        return self._failed(
            f"{who} may not {what} at {self.address}{text and f' ({text})'}: add an ACL that allows {owner} {what}",
            operation=" and ".join(dict.fromkeys(right.operation for right in lacking)),
            resource=" and ".join(dict.fromkeys(right.resource for right in lacking)),
        )

    def note(self, error: KafkaError) -> None:
        """Keep a lasting failure for `check`. Every client's error callback calls this."""
        text = error.str()
        if error.code() == KafkaError._RESOLVE and "/bootstrap: " not in text:  # noqa: SLF001
            self._unknown_brokers.add(_at(text))
        failure = self.failure(error)
        if failure is not None:
            self._refusals.append(failure)
            self._settled = self._settled or Deadline(SETTLE_SECONDS)

    def check(self) -> None:
        """Raise what was noted.

        Raises:
            LastingFailure: at the second occurrence, or some seconds after the first.
        """
        if len(self._refusals) > 1 or (self._settled is not None and self._settled.passed()):
            raise self._refusals[-1]

    def answered(self) -> None:
        """Note that a broker accepted the client: an earlier refusal came from one that was still starting.

        A missing right stays: brokers answer then, too.
        """
        if not self._refusals:  # called for each record
            return
        self._refusals = [failure for failure in self._refusals if failure.fields["operation"] not in CONNECTING]
        self._settled = self._settled if self._refusals else None

    def raise_lasting(self, error: KafkaError | KafkaException, *rights: Right) -> None:
        """Raise the lasting failure that an error means, if it means one.

        Raises:
            LastingFailure: waiting does not help.
        """
        failure = self.failure(error, *rights)
        if failure is not None:
            raise failure

    def no_answer(self) -> None:
        """Look at the addresses, because an attempt of the start had no answer.

        Raises:
            LastingFailure: an address speaks another protocol or asks for a certificate, or no name resolves.
        """
        self.check()
        if self._look is None:
            self._look = Deadline(FIRST_LOOK_SECONDS)
        if not self._look.passed():
            return
        addresses = self.address.split(",")
        unknown = [address for address in addresses if not _resolves(address)]
        self._look = Deadline(FIRST_LOOK_SECONDS if len(unknown) == len(addresses) else LOOK_SECONDS)
        for address in addresses:
            listener = None if address in unknown else listener_at(address)
            if listener is not None and listener.wants_certificate and self.protocol.endswith("SSL"):
                self._check_certificate(address)
                continue
            if listener is not None and listener.protocol != self.protocol:
                login = f", with the mechanisms {', '.join(listener.mechanisms)}" if listener.mechanisms else ""
                raise self._failed(
                    f"{address} is a listener for {listener.protocol}{login}, but the client speaks {self.protocol}: "
                    f"set --security-protocol to {listener.protocol}, or correct the port in --bootstrap-servers",
                    operation="connect",
                )
            if listener is not None and self._unknown_brokers:
                self.check_names(self._unknown_brokers)
        if len(unknown) < len(addresses):
            self._nameless = None
        elif self._nameless is None:
            self._nameless = Deadline(NAMELESS_SECONDS)
        elif self._nameless.passed():
            raise self._failed(
                f"{', '.join(unknown)} cannot be resolved on this machine: correct --bootstrap-servers",
                operation="resolve",
            )

    def _check_certificate(self, address: str) -> None:
        if self._certificate is None:
            raise self._failed(
                f"{address} closed the connection during the TLS handshake, because it asks for a client certificate: "
                "set --ssl-certificate-location and --ssl-key-location",
                operation=HANDSHAKE,
            )

    def check_advertised(self, metadata: Any) -> None:  # noqa: ANN401 - confluent-kafka is untyped
        """Check that the brokers' own names resolve: clients connect to these, whatever the bootstrap list says.

        Raises:
            LastingFailure: none of them resolves.
        """
        self.check_names([f"{broker.host}:{broker.port}" for broker in metadata.brokers.values()])

    def check_names(self, names: Collection[str]) -> None:
        """As `check_advertised`, of addresses that the metadata named."""
        if names and not any(_resolves(name) for name in names):
            raise self._failed(
                f"the brokers at {self.address} call themselves {', '.join(sorted(names))}, which cannot be resolved "
                "on this machine: use a listener whose advertised.listeners name this machine knows, or correct "
                "advertised.listeners of the brokers",
                operation="resolve",
            )

    def _failed(self, sentence: str, *, operation: str = "", resource: str = "") -> LastingFailure:
        return LastingFailure(
            sentence, address=self.address, principal=self.principal, operation=operation, resource=resource
        )


def _writes(code: int, rights: Iterable[Right]) -> list[Right]:
    """What a client lacks whose producer the cluster denies: since Kafka 3.0, WRITE on any topic is enough for one."""
    denied = code == KafkaError.CLUSTER_AUTHORIZATION_FAILED
    return [right for right in rights if denied and (right.operation, right.kind) == ("WRITE", "topic")]


def _resolves(address: str) -> bool:
    host, port = split_address(address)
    try:
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        return error.errno not in NO_SUCH_NAME
    return True


def _at(text: str) -> str:
    """The address that librdkafka's text begins with: `ssl://b1:9092/bootstrap: …`."""
    match = re.match(r"(?:\w+://)?([^/\s]+:\d+)/\S+: ", text)
    return match[1] if match else ""


def _plain(text: str) -> str:
    """The text of librdkafka without the connection before it and the state of the connection after it."""
    text = re.sub(r"^(?:\w+://)?[^/\s]+:\d+/\S+: ", "", text)
    return re.sub(r" \(after \d+ms in state .*\)$", "", text)
