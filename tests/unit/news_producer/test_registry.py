"""The schema's id, from a registry that has it or does not."""

import pytest

from news_producer.registry import schema_id
from newsroom.errors import LastingFailure, SettingsError
from newsroom.schemas.registry import registry_client
from newsroom.settings import KafkaSettings
from support.web import Web


def test_only_the_registry_can_say_that_a_schema_is_not_registered() -> None:
    code = 40401
    with Web(lambda request: request.reply(404, b'{"error_code": %d, "message": "not found"}' % code)) as web:
        registry = registry_client(KafkaSettings(registry_url=web.url))
        with pytest.raises(SettingsError, match=f"not registered under subject news-value of the .* at {web.url}: reg"):
            schema_id(registry, "news-value", {}, may_register=False)
        code = 404
        with pytest.raises(LastingFailure, match=f"what answers as the schema registry at {web.url} is not a schema"):
            schema_id(registry, "news-value", {}, may_register=False)
