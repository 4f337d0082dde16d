"""The schema's id, from a registry that has it or does not."""

import pytest
from confluent_kafka.schema_registry.error import SchemaRegistryError

from news_producer.registry import schema_id
from newsroom.errors import RegistryUnavailable, SettingsError


class FakeRegistry:
    def __init__(self, code: int) -> None:
        self._code = code

    def lookup_schema(self, *_: object) -> None:
        raise SchemaRegistryError(404, self._code, "not found")


def test_only_the_registry_can_say_that_a_schema_is_not_registered() -> None:
    with pytest.raises(SettingsError, match="not registered under subject news-value"):
        schema_id(FakeRegistry(40401), "news-value", {}, may_register=False)
    with pytest.raises(RegistryUnavailable, match="could not look up subject news-value"):
        schema_id(FakeRegistry(404), "news-value", {}, may_register=False)
