"""What `--help` says: the program first, its own options before connection and logs, each with its variable."""

import re
import shlex

import pytest

from avro_consumer.settings import AvroConsumerSettings
from news_producer.settings import ProducerSettings
from newsroom.help import help_text
from newsroom.settings import ServiceSettings, load_settings, variable_of
from support.services import SERVICES


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")


@pytest.mark.parametrize("settings", SERVICES)
def test_each_option_stands_once_with_its_variable_and_no_type_of_python(settings: type[ServiceSettings]) -> None:
    text = help_text(settings, "program")
    for name in settings.model_fields:
        assert len(re.findall(rf"^  --{name.replace('_', '-')}[ ,]", text, re.MULTILINE)) == 1
        assert re.search(rf"[\[ ]{variable_of(settings, name)}\]$", text, re.MULTILINE)
    assert not re.search(r"\b(None|Path\(|str|float|tuple|SecretStr|typing)\b", text)
    assert max(len(line) for line in text.splitlines()) <= 110


@pytest.mark.parametrize("settings", SERVICES)
def test_the_program_and_two_examples_that_it_takes_come_first(settings: type[ServiceSettings]) -> None:
    head, _, options = help_text(settings, "program").partition("\nOptions:\n")
    assert head.startswith(f"Usage: program [OPTION…]\n\n{(settings.__doc__ or '')[:20]}")
    examples = re.findall(r"^  program (.+)$", head, re.MULTILINE)
    assert len(examples) == 2
    for example in examples:
        load_settings(settings, "program", shlex.split(example))
    titles = [line for line in options.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Connection:", "Logs, health and metrics:"]


def test_values_limits_and_defaults_read_as_a_person_writes_them() -> None:
    text = help_text(AvroConsumerSettings, "program")
    assert "--session-timeout SECONDS\n" in text
    assert "[at least 1; default: 10; NEWSROOM_CONSUMER_SESSION_TIMEOUT]" in text
    assert "--group-protocol classic|consumer\n" in text
    assert "--static-membership, --no-static-membership\n" in text
    assert "[default: no; NEWSROOM_CONSUMER_STATIC_MEMBERSHIP]" in text
    assert "--sink PATH\n" in text
    assert "[at least 0; at most 65535; default: 0; NEWSROOM_HTTP_PORT]" in text
    assert "--schema-path, --schema PATH\n" in help_text(ProducerSettings, "program")
