"""Lets librdkafka look at the properties that a user passes on, before a service connects."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from confluent_kafka import Consumer, KafkaException

from newsroom.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse_unknown(properties: Mapping[str, str]) -> None:
    """Check names and values: each client would refuse them later, without naming the setting.

    Raises:
        SettingsError: librdkafka does not know a property, or its value.
    """
    for name, value in properties.items():
        # Alone: a property may contradict another one that is not set here.
        try:
            Consumer({"group.id": "check", name: value}, logger=logging.getLogger("librdkafka")).close()
        except KafkaException as error:
            raise SettingsError(f"--client-properties: librdkafka refuses {name}: {error.args[0].str()}") from error
