"""The admin client with which Quix looks at the topics of its dataframes."""

from __future__ import annotations

import logging

from confluent_kafka.admin import AdminClient
from quixstreams.models.topics import TopicAdmin
from typing_extensions import override


class OneAdmin(TopicAdmin):
    """Quix's admin client, made once. Quix makes a new one at each use, because an `AdminClient` counts as false."""

    @property
    @override
    def admin_client(self) -> AdminClient:
        if self._inner_admin is None:
            self._inner_admin = AdminClient(self._config | {"logger": logging.getLogger("librdkafka")})
        self._inner_admin.poll(0)  # hands on its log lines
        return self._inner_admin
