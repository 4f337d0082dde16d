"""`newsroom groups|dlq|peek|label|replay` at a cluster with logins, certificates and rights.

The commands run in this process, which is quick. docs/access.md lists the rights that `NEEDS` has.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from newsroom.access import Right
from newsroom_stack.cli.app import main
from support.logins import certificate_login, hand_out, token_login
from support.secured import SecuredBroker
from support.web import Web

pytestmark = pytest.mark.timeout(200)

CHANGELOG = "changelog__{user}--{user}-word-deltas--default"
REPLAY = "newsroom-replay-{user}.dlq"


def right(text: str, user: str = "{user}") -> Right:
    operation, kind, name = text.split(" ", 2)
    return Right(operation, kind, name.format(user=user))


NEEDS: dict[str, tuple[str, ...]] = {
    "groups describe {user}-group": ("DESCRIBE group {user}-group", "DESCRIBE topic {user}"),
    "groups reset {user}-group --to earliest --execute": ("READ group {user}-group", "READ topic {user}"),
    "groups delete {user}-group --execute": ("DELETE group {user}-group",),
    "peek {user}": ("DESCRIBE topic {user}", "READ topic {user}"),
    "label word text --topic {user}": ("WRITE topic {user}",),
    "dlq list --topic {user}.dlq": ("READ topic {user}.dlq",),
    "dlq show 0:0 --topic {user}.dlq": ("READ topic {user}.dlq",),
    "dlq replay --topic {user}.dlq": (
        *("READ topic {user}.dlq", "WRITE topic {user}"),
        *(f"READ group {REPLAY}", f"WRITE transactional-id {REPLAY}"),
    ),
    "dlq purge --all --execute --topic {user}.dlq": ("DELETE topic {user}.dlq",),
    "replay wordcount-stream --group {user} --table {user} --execute": (
        *(f"DESCRIBE topic {CHANGELOG}", f"DELETE topic {CHANGELOG}", "DELETE topic {user}-word-deltas"),
        *("READ topic {user}", "WRITE topic {user}", "DELETE group {user}"),
    ),
}
"""Each command and the rights that it needs; READ, WRITE and DELETE imply DESCRIBE."""


@dataclass(frozen=True)
class Case:
    """A command of a user of its own; without the right `lacking`, if there is one."""

    number: int
    command: str
    lacking: str = ""

    @property
    def user(self) -> str:
        """Also the name of its topic."""
        return f"u{self.number}"

    @property
    def words(self) -> list[str]:
        """The command line."""
        return self.command.format(user=self.user).split()

    @property
    def rights(self) -> list[Right]:
        """What the user may do. Who lacks READ, WRITE or DELETE may DESCRIBE, and so learns of the denial."""
        needed = [right(text, self.user) for text in NEEDS[self.command]]
        if not self.lacking:
            return needed
        lacking = right(self.lacking, self.user)
        if lacking.operation == "DESCRIBE":
            return [other for other in needed if other.resource != lacking.resource]
        rights = (Right("DESCRIBE", other.kind, other.name) if other == lacking else other for other in needed)
        return list(dict.fromkeys(rights))


def cases() -> Iterator[tuple[str, str]]:
    for command, needed in NEEDS.items():
        yield command, ""
        yield from ((command, text) for text in needed)


CASES = [Case(number, *case) for number, case in enumerate(cases())]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    with SecuredBroker(tmp_path_factory.mktemp("commands"), ["admin", *(case.user for case in CASES)]) as broker:
        kinds = ("topic", "group", "transactional-id")
        everything = [Right("ALL", kind, "*") for kind in kinds]
        allowed = {"admin": everything, "CN=localhost": everything, "wordcount": everything}
        topics = ("{user}", "{user}.dlq", "{user}-word-deltas", CHANGELOG)
        broker.create("admin", *(topic.format(user=case.user) for case in CASES for topic in topics))
        broker.allow(allowed | {case.user: case.rights for case in CASES})
        fill(broker)
        yield broker


def fill(broker: SecuredBroker) -> None:
    """A record, a dead letter and two groups for each case."""
    address = {"bootstrap.servers": broker.addresses["plaintext"]}
    producer = Producer(address)
    for name in ("admin", *(case.user for case in CASES)):
        producer.produce(name, b"value", b"key")
        if name != "admin":
            origin = [("dlq.origin.topic", name.encode()), ("dlq.origin.partition", b"0"), ("dlq.error", b"bad")]
            producer.produce(f"{name}.dlq", b"poison", b"key", headers=origin)
            producer.produce(f"{name}-word-deltas", b"1", b"key")
    assert producer.flush(30) == 0
    for group, topic in (
        pair for case in CASES for pair in ((f"{case.user}-group", case.user), (case.user, case.user))
    ):
        consumer = Consumer(address | {"group.id": group})
        consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)
        consumer.close()


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[int, str, str]]:
    """Runs `newsroom` with these variables; its exit code, what it printed, and its errors."""

    def run(variables: Mapping[str, str], *words: str) -> tuple[int, str, str]:
        own = {"NEWSROOM_HOME": str(tmp_path_factory.mktemp("home")), "NEWSROOM_REGISTRY_URL": "mock://registry"}
        for name, value in (own | dict(variables)).items():
            monkeypatch.setenv(name, value)
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.command}, without {case.lacking or 'nothing'}")
def test_the_least_rights_suffice_and_a_missing_one_is_named(
    broker: SecuredBroker, command: Command, case: Case
) -> None:
    code, out, err = command(broker.environment("sasl", case.user), *case.words)
    if not case.lacking:
        assert (code, err) == (0, ""), err
        assert "nothing" not in out
        return
    lacking = right(case.lacking, case.user)
    said = (
        rf"user {case.user} may not (.* and )?{lacking.operation} {re.escape(lacking.resource)} (and .*)?at localhost:"
    )
    hidden = f"that User:{case.user} may DESCRIBE"
    assert re.search(said, err) or (lacking.operation == "DESCRIBE" and hidden in out + err), out + err
    assert (code == 0) == (hidden in out)
    assert "may not do this" not in err
    assert "stays stopped" not in err, "nothing was stopped or deleted before"
    assert "deleted" not in out.replace("this will be deleted", ""), "a part of it"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Web]:
    with Web(hand_out) as web:
        yield web


@pytest.mark.parametrize("kind", ["TLS", "certificate", "token"])
def test_every_login_reaches_every_client(broker: SecuredBroker, endpoint: Web, command: Command, kind: str) -> None:
    variables = {
        "TLS": broker.environment("sasl_tls", "admin"),
        "certificate": certificate_login(broker),
        "token": token_login(broker, endpoint),
    }[kind]
    code, out, err = command(variables, "groups", "list", "--json")
    assert (code, err) == (0, "")
    assert "u0-group" in {group["name"] for group in json.loads(out)}
    for words in ("groups describe u0-group", "peek admin", "label word text --topic admin", "dlq list --topic u0.dlq"):
        code, out, err = command(variables, *words.split())
        assert (code, err) == (0, ""), words
    assert ("/token" in endpoint.paths) == (kind == "token")


def test_a_wrong_secret_is_a_sentence(broker: SecuredBroker, endpoint: Web, command: Command) -> None:
    code, _, err = command(token_login(broker, endpoint, "wrong"), "groups", "list")
    assert code == 1
    assert "the login of user wordcount with --sasl-mechanism OAUTHBEARER at localhost" in err
